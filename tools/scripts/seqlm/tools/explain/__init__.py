"""Which positions of a sequence speak for what a model says of it, and whether that is more than chance.

bundle or language model + file -> tokens -> a value for each token -> the same of models with shuffled weights
    -> how the prediction falls when tokens are hidden -> table, heat maps, report
"""
