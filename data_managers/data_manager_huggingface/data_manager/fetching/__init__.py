"""Fetching a model from the Hugging Face Hub for Galaxy's ``huggingface`` table.

    presets, licences   which models, and on what terms
    hub                 what the Hub says of one: its commit, files, hashes, licence
    choice              which of its files are needed
    download            each of them, gone on with where it broke off, compared with the Hub's hash
    conversion          pickled weights to safetensors, in a process of its own
    rows                the row of the table

Nothing here is imported by the tools, nor imports them: the repository of this data manager stands by itself.
"""
