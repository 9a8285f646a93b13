"""The models that the SeqLM tools were written for, so that an administrator need not know their names.

Licences are asked of the Hub when a model is fetched; here stand only terms that must be known before, because the
Hub's may be missing. Pipeline tags are those by which the tools' forms find a model: what the Hub says of some (ProtT5:
text2text-generation) would offer them nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

FEATURES, MASKED, WRITES, RESIDUES = "feature-extraction", "fill-mask", "text-generation", "token-classification"


@dataclass(frozen=True)
class Preset:
    """A model by its usual name.

    Attributes:
        name: what users see in the forms.
        pipeline_tag: by which the forms find it.
        reads: protein, dna or molecule; the row's free_tag.
        terms: a licence that does not allow every use.
    """

    name: str
    pipeline_tag: str
    reads: str
    terms: str = ""


_NC = "CC BY-NC-SA 4.0"

PRESETS = {
    "facebook/esm2_t6_8M_UR50D": Preset("ESM-2, 8 million parameters", MASKED, "protein"),
    "facebook/esm2_t12_35M_UR50D": Preset("ESM-2, 35 million parameters", MASKED, "protein"),
    "facebook/esm2_t30_150M_UR50D": Preset("ESM-2, 150 million parameters", MASKED, "protein"),
    "facebook/esm2_t33_650M_UR50D": Preset("ESM-2, 650 million parameters", MASKED, "protein"),
    "facebook/esm2_t36_3B_UR50D": Preset("ESM-2, 3 billion parameters", MASKED, "protein"),
    "facebook/esm1b_t33_650M_UR50S": Preset("ESM-1b, 650 million parameters", MASKED, "protein"),
    **{
        f"facebook/esm1v_t33_650M_UR90S_{number}": Preset(f"ESM-1v, {number} of 5, for variants", MASKED, "protein")
        for number in range(1, 6)
    },
    "westlake-repl/SaProt_35M_AF2": Preset("SaProt, 35 million parameters (residues and structure)", MASKED, "protein"),
    "westlake-repl/SaProt_650M_AF2": Preset(
        "SaProt, 650 million parameters (residues and structure)", MASKED, "protein"
    ),
    "westlake-repl/SaProt_650M_PDB": Preset(
        "SaProt, 650 million parameters, trained on PDB structures too", MASKED, "protein"
    ),
    "biohub/ESMC-300M": Preset("ESM-C, 300 million parameters", MASKED, "protein"),
    "biohub/ESMC-600M": Preset("ESM-C, 600 million parameters", MASKED, "protein"),
    "biohub/ESMC-6B": Preset("ESM-C, 6 billion parameters", MASKED, "protein"),
    "Rostlab/prot_t5_xl_half_uniref50-enc": Preset("ProtT5-XL (UniRef50), encoder, fp16", FEATURES, "protein"),
    "Rostlab/prot_t5_xl_uniref50": Preset("ProtT5-XL (UniRef50)", FEATURES, "protein"),
    "Rostlab/prot_bert": Preset("ProtBERT", MASKED, "protein"),
    "Rostlab/prot_albert": Preset("ProtALBERT", MASKED, "protein"),
    "Rostlab/prot_xlnet": Preset("ProtXLNet", FEATURES, "protein"),
    "Rostlab/ProstT5": Preset("ProstT5 (residues or 3Di states)", FEATURES, "protein"),
    "ElnaggarLab/ankh-base": Preset("Ankh, base", FEATURES, "protein", _NC),
    "ElnaggarLab/ankh-large": Preset("Ankh, large", FEATURES, "protein", _NC),
    "ElnaggarLab/ankh2-ext1": Preset("Ankh 2, first", FEATURES, "protein", _NC),
    "ElnaggarLab/ankh2-ext2": Preset("Ankh 2, second", FEATURES, "protein", _NC),
    "ElnaggarLab/ankh3-large": Preset("Ankh 3, large", FEATURES, "protein", _NC),
    "ElnaggarLab/ankh3-xl": Preset("Ankh 3, XL", FEATURES, "protein", _NC),
    "Exscientia/IgBert": Preset("IgBert (antibodies)", MASKED, "protein"),
    "Exscientia/IgBert_unpaired": Preset("IgBert (antibodies), single chains", MASKED, "protein"),
    "Exscientia/IgT5": Preset("IgT5 (antibodies)", FEATURES, "protein"),
    "nferruz/ProtGPT2": Preset("ProtGPT2", WRITES, "protein"),
    "hugohrban/progen2-small": Preset("ProGen2, 151 million parameters", WRITES, "protein"),
    "hugohrban/progen2-medium": Preset("ProGen2, 765 million parameters", WRITES, "protein"),
    "hugohrban/progen2-base": Preset("ProGen2, 765 million parameters, UniRef90 and BFD30", WRITES, "protein"),
    "hugohrban/progen2-BFD90": Preset("ProGen2, 2.7 billion parameters, UniRef90 and BFD90", WRITES, "protein"),
    "hugohrban/progen2-xlarge": Preset("ProGen2, 6.4 billion parameters", WRITES, "protein"),
    "AI4PD/ZymCTRL": Preset("ZymCTRL (enzymes by EC number)", WRITES, "protein"),
    "AmelieSchreiber/esm2_t12_35M_lora_binding_sites_v2_cp3": Preset(
        "Binding sites, LoRA adapter on ESM-2 of 35 million parameters", RESIDUES, "protein"
    ),
    "zhihan1996/DNABERT-2-117M": Preset("DNABERT-2", MASKED, "dna"),
    "zhihan1996/DNABERT-S": Preset("DNABERT-S", FEATURES, "dna"),
    "InstaDeepAI/nucleotide-transformer-500m-human-ref": Preset(
        "Nucleotide Transformer, 500 million parameters, human reference", MASKED, "dna", _NC
    ),
    "InstaDeepAI/nucleotide-transformer-500m-1000g": Preset(
        "Nucleotide Transformer, 500 million parameters, 1000 Genomes", MASKED, "dna", _NC
    ),
    "InstaDeepAI/nucleotide-transformer-2.5b-1000g": Preset(
        "Nucleotide Transformer, 2.5 billion parameters, 1000 Genomes", MASKED, "dna", _NC
    ),
    "InstaDeepAI/nucleotide-transformer-2.5b-multi-species": Preset(
        "Nucleotide Transformer, 2.5 billion parameters, many species", MASKED, "dna", _NC
    ),
    "InstaDeepAI/nucleotide-transformer-v2-50m-multi-species": Preset(
        "Nucleotide Transformer v2, 50 million parameters, many species", MASKED, "dna", _NC
    ),
    "InstaDeepAI/nucleotide-transformer-v2-100m-multi-species": Preset(
        "Nucleotide Transformer v2, 100 million parameters, many species", MASKED, "dna", _NC
    ),
    "InstaDeepAI/nucleotide-transformer-v2-250m-multi-species": Preset(
        "Nucleotide Transformer v2, 250 million parameters, many species", MASKED, "dna", _NC
    ),
    "InstaDeepAI/nucleotide-transformer-v2-500m-multi-species": Preset(
        "Nucleotide Transformer v2, 500 million parameters, many species", MASKED, "dna", _NC
    ),
    "PoetschLab/GROVER": Preset("GROVER", MASKED, "dna"),
    "AIRI-Institute/moderngena-base": Preset("ModernGENA, base", MASKED, "dna"),
    "DeepChem/ChemBERTa-77M-MLM": Preset("ChemBERTa-2, masked tokens (MLM)", MASKED, "molecule"),
    "DeepChem/ChemBERTa-77M-MTR": Preset("ChemBERTa-2, properties (MTR)", FEATURES, "molecule"),
}
