"""Labelled windows around sites, or sequences as they are; splits that tear no group apart, and what leaks.

proteins + sites -> windows -> groups -> split -> leakage -> three sets, table, report
"""
