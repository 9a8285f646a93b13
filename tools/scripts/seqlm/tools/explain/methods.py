"""How values of positions are found, and what they are called. Needs no torch."""

GRADIENTS, OCCLUSION = "integrated-gradients", "occlusion"
METHODS = (GRADIENTS, OCCLUSION)
