"""Tokenizers: shown, trained, extended.

file -> tokens -> table, usage, report
corpus -> units -> pieces -> vocabulary -> tokenizer, comparison, report
model + corpus -> new tokens -> new rows -> model, report
"""
