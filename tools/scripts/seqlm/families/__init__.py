"""What differs from one model family to the next, one small module each.

A new family is one new module here with a subclass of :class:`seqlm.families.family.Family`; it is found by itself.
"""
