"""What reports cite: of each the words and the address, in the order in which a report lists them."""

from __future__ import annotations

DOI = "https://doi.org/"

CITATIONS = {
    # models
    "prottrans": ("ProtT5 (ProtTrans): Elnaggar et al. 2021, IEEE TPAMI.", DOI + "10.1109/TPAMI.2021.3095381"),
    "prott5": ("ProtT5 and its kind: Elnaggar et al. 2021.", DOI + "10.1109/TPAMI.2021.3095381"),
    "prostt5": ("ProstT5: Heinzinger et al. 2024, NAR Genomics and Bioinformatics.", DOI + "10.1093/nargab/lqae150"),
    "ankh": ("Ankh: Elnaggar et al. 2023.", DOI + "10.48550/arXiv.2301.06568"),
    "ankh3": ("Ankh 3: Alsamkary et al. 2025.", DOI + "10.48550/arXiv.2505.20052"),
    "saprot": ("SaProt: Su et al. 2024, ICLR.", DOI + "10.1101/2023.10.01.560349"),
    "foldseek": ("3Di states (Foldseek): van Kempen et al. 2024, Nat. Biotechnol.", DOI + "10.1038/s41587-023-01773-0"),
    "prottrans-short": ("ProtTrans: Elnaggar et al. 2021.", DOI + "10.1109/TPAMI.2021.3095381"),
    "esm1b": ("ESM-1b: Rives et al. 2021, PNAS.", DOI + "10.1073/pnas.2016239118"),
    "esm2": ("ESM-2: Lin et al. 2023, Science.", DOI + "10.1126/science.ade2574"),
    "esmc": ("ESM Cambrian: EvolutionaryScale 2024.", "https://www.evolutionaryscale.ai/blog/esm-cambrian"),
    "dnabert2": ("DNABERT-2: Zhou et al. 2023.", DOI + "10.48550/arXiv.2306.15006"),
    "nucleotide-transformer": (
        "Nucleotide Transformer: Dalla-Torre et al. 2025, Nature Methods.",
        DOI + "10.1038/s41592-024-02523-z",
    ),
    "modernbert": ("ModernBERT: Warner et al. 2024.", DOI + "10.48550/arXiv.2412.13663"),
    "protgpt2": ("ProtGPT2: Ferruz et al. 2022, Nature Communications.", DOI + "10.1038/s41467-022-32007-7"),
    "protgpt2-short": ("ProtGPT2: Ferruz et al. 2022.", DOI + "10.1038/s41467-022-32007-7"),
    "llama": ("LLaMA: Touvron et al. 2023.", DOI + "10.48550/arXiv.2302.13971"),
    # tokenizers
    "bpe": ("Byte-pair encoding of words: Sennrich et al. 2016.", DOI + "10.18653/v1/P16-1162"),
    "unigram": ("Unigram models: Kudo 2018.", DOI + "10.18653/v1/P18-1007"),
    "wordpiece": ("WordPiece: Schuster and Nakajima 2012.", DOI + "10.1109/ICASSP.2012.6289079"),
    "kmer": ("K-mers as tokens: Ji et al. 2021.", DOI + "10.1093/bioinformatics/btab083"),
    "chemberta2": ("ChemBERTa-2: Ahmad et al. 2022.", DOI + "10.48550/arXiv.2209.01712"),
    "canonical-smiles": ("RDKit (canonical SMILES).", "https://www.rdkit.org"),
    # what sequences have in common, and scores without a training
    "mmseqs2": ("MMseqs2: Steinegger & Söding 2017.", DOI + "10.1038/nbt.3988"),
    "biopython": ("Biopython: Cock et al. 2009.", DOI + "10.1093/bioinformatics/btp163"),
    "rdkit": ("RDKit: open-source cheminformatics.", "https://www.rdkit.org"),
    "related-sequences": ("MMseqs2 (related sequences): Steinegger & Söding 2017.", DOI + "10.1038/nbt.3988"),
    "leakage": ("Leakage between related proteins: Bernett et al. 2024.", DOI + "10.1038/s41592-024-02362-y"),
    "molecules": ("RDKit (molecules).", "https://www.rdkit.org"),
    "scaffolds": ("Scaffolds: Bemis & Murcko 1996.", DOI + "10.1021/jm9602928"),
    "moleculenet": ("Scaffold split: Wu et al. 2018.", DOI + "10.1039/C7SC02664A"),
    "pseudo-likelihood": ("Pseudo-log-likelihoods: Salazar et al. 2020.", DOI + "10.18653/v1/2020.acl-main.240"),
    "zero-shot": ("Zero-shot effects: Meier et al. 2021.", DOI + "10.1101/2021.07.09.450648"),
    "blosum62": ("BLOSUM62: Henikoff & Henikoff 1992.", DOI + "10.1073/pnas.89.22.10915"),
    # training
    "lp-ft": ("Training from the linear probe: Kumar et al. 2022.", DOI + "10.48550/arXiv.2202.10054"),
    "lora": ("LoRA: Hu et al. 2021.", DOI + "10.48550/arXiv.2106.09685"),
    "dora": ("DoRA: Liu et al. 2024.", DOI + "10.48550/arXiv.2402.09353"),
    "qlora": ("QLoRA: Dettmers et al. 2023.", DOI + "10.48550/arXiv.2305.14314"),
    "adalora": ("AdaLoRA: Zhang et al. 2023.", DOI + "10.48550/arXiv.2303.10512"),
    "vera": ("VeRA: Kopiczko et al. 2023.", DOI + "10.48550/arXiv.2310.11454"),
    "ia3": ("IA3: Liu et al. 2022.", DOI + "10.48550/arXiv.2205.05638"),
    "transformers": ("Transformers: Wolf et al. 2020.", DOI + "10.18653/v1/2020.emnlp-demos.6"),
    "peft": ("PEFT: Mangrulkar et al. 2022.", "https://github.com/huggingface/peft"),
    "scikit-learn": ("scikit-learn (baselines): Pedregosa et al. 2011.", DOI + "10.48550/arXiv.1201.0490"),
    "classifiers": ("scikit-learn: Pedregosa et al. 2011, JMLR.", DOI + "10.48550/arXiv.1201.0490"),
    # pictures of vectors
    "pca": ("PCA: Jolliffe & Cadima 2016, Phil. Trans. R. Soc. A.", DOI + "10.1098/rsta.2015.0202"),
    "umap": ("UMAP: McInnes et al. 2018, J. Open Source Softw.", DOI + "10.21105/joss.00861"),
    "tsne": ("t-SNE, and how to use it: Kobak & Berens 2019, Nat. Commun.", DOI + "10.1038/s41467-019-13056-x"),
    "silhouette": ("Silhouette: Rousseeuw 1987, J. Comput. Appl. Math.", DOI + "10.1016/0377-0427(87)90125-7"),
    "trust": ("Trustworthiness: Venna & Kaski 2001, ICANN.", DOI + "10.1007/3-540-44668-0_68"),
    # scores
    "bootstrap": ("Bootstrap intervals: Efron & Tibshirani 1993.", DOI + "10.1201/9780429246593"),
    "platt": (
        "Probabilities of support vector machines: Platt 1999; Zadrozny & Elkan 2002.",
        DOI + "10.1145/775047.775151",
    ),
    "nested": (
        "Nested cross-validation: Cawley & Talbot 2010, JMLR.",
        "https://www.jmlr.org/papers/v11/cawley10a.html",
    ),
    "delong": ("Comparison of AUROCs: DeLong et al. 1988, Biometrics.", DOI + "10.2307/2531595"),
    "obuchowski": ("AUROCs of residues in proteins: Obuchowski 1997, Biometrics.", DOI + "10.2307/2533958"),
    "mcnemar": ("Comparison of calls: McNemar 1947, Psychometrika.", DOI + "10.1007/BF02295996"),
    "steiger": ("Comparison of correlations: Steiger 1980, Psychol. Bull.", DOI + "10.1037/0033-2909.87.2.245"),
    "fmax": ("Fmax: Radivojac et al. 2013, Nature Methods.", DOI + "10.1038/nmeth.2340"),
    "temperature": ("Calibration by temperature: Guo et al. 2017.", DOI + "10.48550/arXiv.1706.04599"),
    "proteins-drawn": ("Intervals over proteins: Field & Welsh 2007.", DOI + "10.1111/j.1467-9868.2007.00593.x"),
    "conformal": ("Conformal sets: Sadinle et al. 2019, JASA.", DOI + "10.1080/01621459.2017.1395341"),
    "cv-plus": ("CV+: Barber et al. 2021, Ann. Statist.; Romano et al. 2020.", DOI + "10.1214/20-AOS1965"),
    "smoothing": ("3-mers with smoothing: Chen & Goodman 1999.", DOI + "10.1006/csla.1999.0128"),
    "new-proteins": ("Pairs of new proteins: Park & Marcotte 2012, Nature Methods.", DOI + "10.1038/nmeth.2259"),
    "pair-leakage": ("Leakage in pairs: Bernett et al. 2024, Brief. Bioinform.", DOI + "10.1093/bib/bbae076"),
    # language models from scratch
    "adamw": ("AdamW: Loshchilov & Hutter 2019.", DOI + "10.48550/arXiv.1711.05101"),
    "bert": ("Masked language models: Devlin et al. 2019.", DOI + "10.18653/v1/N19-1423"),
    "gpt2": ("GPT-2: Radford et al. 2019.", "https://openai.com/index/better-language-models/"),
    "roberta": ("RoBERTa: Liu et al. 2019.", DOI + "10.48550/arXiv.1907.11692"),
    "span": ("Masked spans: Joshi et al. 2020.", DOI + "10.1162/tacl_a_00300"),
}
