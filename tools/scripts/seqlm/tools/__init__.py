"""One folder a tool, named as its script. No tool imports another.

The same file has the same name everywhere: inputs, run, summary, verdict, report, figures, outputs.
"""
