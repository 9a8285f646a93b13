"""What the workflow that teaches DNA to a LLaMA starts from: a tiny LLaMA of English, and made-up genes.

The model has read made-up sentences for seconds and no DNA. In the genes some codons follow others more often. Whether
a piece is one of a gene or has the same codons in random order is what the model is taught to say.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from language_data import causal_batch, new_llama, save, train, write_settings
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

KINDS = ("a gene", "a promoter", "an enzyme", "a protein", "a sequence", "a pair of bases", "a CDS", "an ORF")
SAYS = ("is read", "binds this", "is more frequent", "is near a TATA box", "ends here", "has no function", "is (x=1)")


def make(here: Path) -> None:
    genes = Genes(random.Random(66))
    genes.contigs(here / "llama_contigs.fasta", 60)
    for name, count in (("train", 240), ("test", 80)):
        genes.labelled(here / f"llama_pieces_{name}.csv", count)
        genes.questions(here / f"llama_questions_{name}.jsonl", count)
    genes.new(here / "llama_pieces_new.fasta", 4)


def tiny_text_llama(folder: Path) -> None:
    """Two layers of LLaMA 2's kind: words begin with ▁, and what has no token is read as bytes."""
    special = ["<unk>", "<s>", "</s>", *(f"<0x{number:02X}>" for number in range(256))]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    words = (pre_tokenizers.Split("▁", "merged_with_next"), pre_tokenizers.Split("\n", "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(words))  # no token of two words
    rng = random.Random(8)
    learner = trainers.BpeTrainer(
        vocab_size=460,
        special_tokens=special,
        initial_alphabet=list("ABCDEFGHIKLMNPQRSTVWXYZ"),
        show_progress=False,
    )
    tokenizer.train_from_iterator((sentence(rng) for _ in range(400)), learner)
    tokenizer.pre_tokenizer = None
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    write_settings(folder, "LlamaTokenizer", {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"})
    model = new_llama(tokenizer.get_vocab_size())

    def batch(rng: random.Random) -> dict:
        return causal_batch([[*tokenizer.encode(sentence(rng)).ids, 2] for _ in range(16)], 2)

    train(model, batch, 200, 1e-2)
    save(model, folder)


def sentence(rng: random.Random) -> str:
    said = f"{rng.choice(KINDS)} {rng.choice(SAYS)}"
    form = rng.randrange(4)
    if form == 0:
        return f"Is this {rng.choice(KINDS)}?\n{rng.choice(('yes', 'no'))}"
    if form == 1:
        return f"Which {rng.choice(KINDS).split(' ', 1)[1]} {rng.choice(SAYS)}?\n{rng.choice(KINDS)}"
    return said[0].upper() + said[1:] + (f", and {rng.choice(KINDS)} {rng.choice(SAYS)}." if form == 2 else ".")


class Genes:
    """Genes of a made-up organism: after each codon, three others are likely, and all others are not."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.codons = sorted({"".join(rng.choices("ACGT", k=3)) for _ in range(16)})
        self.follow = {codon: rng.sample(self.codons, 3) for codon in self.codons}

    def gene(self, codons: int) -> list[str]:
        found = [self.rng.choice(self.codons)]
        while len(found) < codons:
            likely = self.rng.random() < 0.9
            found.append(self.rng.choice(self.follow[found[-1]] if likely else self.codons))
        return found

    def piece(self, real: bool) -> str:
        """Of a gene, or the same codons in random order."""
        codons = self.gene(self.rng.randint(18, 24))
        if not real:
            self.rng.shuffle(codons)
        return "".join(codons)

    def contigs(self, path: Path, count: int) -> None:
        with path.open("w") as out:
            for number in range(count):
                genes = [self.gene(self.rng.randint(40, 80)) for _ in range(3)]
                out.write(f">contig_{number:02d} made up\n" + "".join("".join(one) + "\n" for one in genes))

    def labelled(self, path: Path, count: int) -> None:
        lines = ["id,sequence,label\n"]
        for number in range(count):
            real = self.rng.random() < 0.5
            lines.append(f"piece_{number:03d},{self.piece(real)},{'gene' if real else 'chance'}\n")
        path.write_text("".join(lines))

    def new(self, path: Path, count: int) -> None:
        pieces = [(kind, number) for kind in ("gene", "chance") for number in range(count)]
        path.write_text("".join(f">new_{kind}_{number}\n{self.piece(kind == 'gene')}\n" for kind, number in pieces))

    def questions(self, path: Path, count: int) -> None:
        """Two kinds: is it a gene, and which bases does it have more of."""
        lines = []
        for _ in range(count):
            real = self.rng.random() < 0.5
            bases = self.piece(real)
            if self.rng.random() < 0.5:
                question, answer = "Is this a gene?", "yes" if real else "no"
            else:
                weak = sum(base in "AT" for base in bases)
                question = "Which pair of bases is more frequent?"
                answer = "A and T" if 2 * weak > len(bases) else "C and G"
            lines.append(json.dumps({"instruction": question, "input": bases, "output": answer}) + "\n")
        path.write_text("".join(lines))


if __name__ == "__main__":
    make(Path(__file__).parent)
