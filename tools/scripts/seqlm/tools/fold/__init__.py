"""Proteins to structures, one chain at a time::

model + proteins ─► memory and time foreseen ─► longest first: coordinates, pLDDT, PAE, pTM ─► files, report
"""
