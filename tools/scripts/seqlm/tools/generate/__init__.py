"""New sequences.

prompts -> slots of a model -> sequences -> perplexities, properties, copies -> FASTA, table, report
"""
