"""What reports cite."""

from __future__ import annotations

DOI = "https://doi.org/"

CITATIONS = {
    "prottrans": ("ProtT5 (ProtTrans): Elnaggar et al. 2021, IEEE TPAMI.", DOI + "10.1109/TPAMI.2021.3095381"),
    "esm2": ("ESM-2: Lin et al. 2023, Science.", DOI + "10.1126/science.ade2574"),
    "esmc": ("ESM Cambrian: EvolutionaryScale 2024.", "https://www.evolutionaryscale.ai/blog/esm-cambrian"),
    "dnabert2": ("DNABERT-2: Zhou et al. 2023.", DOI + "10.48550/arXiv.2306.15006"),
    "nucleotide-transformer": (
        "Nucleotide Transformer: Dalla-Torre et al. 2025, Nature Methods.",
        DOI + "10.1038/s41592-024-02523-z",
    ),
    "modernbert": ("ModernBERT: Warner et al. 2024.", DOI + "10.48550/arXiv.2412.13663"),
    "protgpt2": ("ProtGPT2: Ferruz et al. 2022, Nature Communications.", DOI + "10.1038/s41467-022-32007-7"),
    "llama": ("LLaMA: Touvron et al. 2023.", DOI + "10.48550/arXiv.2302.13971"),
    "lora": ("LoRA: Hu et al. 2021.", DOI + "10.48550/arXiv.2106.09685"),
    "transformers": ("Transformers: Wolf et al. 2020.", DOI + "10.18653/v1/2020.emnlp-demos.6"),
    "peft": ("PEFT: Mangrulkar et al. 2022.", "https://github.com/huggingface/peft"),
    "scikit-learn": ("scikit-learn (baselines): Pedregosa et al. 2011.", DOI + "10.48550/arXiv.1201.0490"),
    "fmax": ("Fmax: Radivojac et al. 2013, Nature Methods.", DOI + "10.1038/nmeth.2340"),
    "temperature": ("Calibration by temperature: Guo et al. 2017.", DOI + "10.48550/arXiv.1706.04599"),
    "proteins-drawn": ("Intervals over proteins: Field & Welsh 2007.", DOI + "10.1111/j.1467-9868.2007.00593.x"),
    "smoothing": ("3-mers with smoothing: Chen & Goodman 1999.", DOI + "10.1006/csla.1999.0128"),
    "new-proteins": ("Pairs of new proteins: Park & Marcotte 2012, Nature Methods.", DOI + "10.1038/nmeth.2259"),
    "pair-leakage": ("Leakage in pairs: Bernett et al. 2024, Brief. Bioinform.", DOI + "10.1093/bib/bbae076"),
}
