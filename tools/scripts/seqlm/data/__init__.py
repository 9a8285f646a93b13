"""What users bring: sequences, molecules, labels, pairs, sites, tables of predictions. Knows no model.

A reader never holds a whole file, and names file, record and line of what it refuses.
"""
