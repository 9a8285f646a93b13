"""The command-line contract: shared options, one `error:` line for a mistake, outputs all together or not at all.

Imports nothing else of the package.
"""
