"""Which residues a language model thinks touch each other, and whether that is more than chance.

model + proteins -> attention of every layer -> logistic regression that its authors fitted (its contact head)
    -> the same of shuffled weights and of shuffled residues, contacts in known structures -> table, heat maps, report
"""
