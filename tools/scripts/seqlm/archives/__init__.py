"""zip, tar and JSON as strangers made them: unpacked and parsed within limits. Never imports torch."""
