"""Scores of predictions with bootstrap intervals, thresholds, calibration, tests between models."""
