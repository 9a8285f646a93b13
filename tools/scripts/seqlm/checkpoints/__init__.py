"""Model folders, bundles, adapters and tokenizer files, as strangers made them: checked without torch.

archive or folder -> unpacking -> config, tensors, tokenizer -> manifest -> an opened model
"""
