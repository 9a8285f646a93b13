"""Tables of predictions against the truth.

prediction tables + truth -> units in one order -> scores, tests -> tables, report
"""
