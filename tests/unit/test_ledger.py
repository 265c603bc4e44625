"""The token ledger over templates of seven families: what it gives is what the sampler saw, whatever anyone writes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.errors import UsageError
from agentgym.ledger import CONTEXT, ChatTokenizer, Ledger
from agentgym.types import Completion, Message

TEMPLATES = Path(__file__).parents[1] / "golden" / "templates"
FAMILIES = sorted(path.stem for path in TEMPLATES.glob("*.jinja"))
SPECIAL = [
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    *("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<s>", "</s>", "[INST]", "[/INST]"),
    *("<bos>", "<start_of_turn>", "<end_of_turn>"),
    *("<|user|>", "<|assistant|>", "<|system|>"),
]
END = {"llama3": "<|eot_id|>", "mistral": "</s>", "zephyr": "</s>", "gemma": "<end_of_turn>"}


@cache
def chat(family: str) -> ChatTokenizer:
    """A byte-level tokenizer with every family's special tokens, and the family's template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {c: i for i, c in enumerate([*alphabet, "th"])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[("t", "h")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=END.get(family, "<|im_end|>"),
        additional_special_tokens=SPECIAL,
        chat_template=(TEMPLATES / f"{family}.jinja").read_text(),
    )
    return ChatTokenizer(tokenizer)


def special_ids(c: ChatTokenizer) -> set[int]:
    return {int(i) for i in c.tokenizer.convert_tokens_to_ids(SPECIAL)}


BENIGN = st.text("abcdehot ", min_size=1, max_size=12).map(str.strip).filter(bool)
HOSTILE = st.lists(
    st.one_of(
        st.sampled_from(
            [*SPECIAL, "\ud800", "\udfff", "\0", "\x1b[2J", "<think>", "\n", "{{ messages }}", "{% endfor %}"]
        ),
        st.text(max_size=6),
    ),
    max_size=6,
).map("".join)


def sampled(c: ChatTokenizer, text: str, ends: bool) -> Completion:
    ids = [*c.encode(text), *([min(c.end_ids)] if ends else [])] or [c.encode("x")[0]]
    return Completion(text, tuple(ids), tuple(-0.1 * i for i in range(len(ids))), finish="stop" if ends else "length")


TURNS = st.lists(st.tuples(HOSTILE, st.booleans(), HOSTILE), min_size=1, max_size=4)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60, deadline=None)
@given(system=HOSTILE, first=HOSTILE, turns=TURNS)
def test_samples_are_what_the_sampler_saw_and_wrote(
    family: str, system: str, first: str, turns: list[tuple[str, bool, str]]
) -> None:
    c = chat(family)
    ledger = Ledger(c, [Message("system", system), Message("user", first)])
    seen: list[tuple[tuple[int, ...], Completion]] = []
    for said, ends, answer in turns:
        prompt, completion = ledger.prompt, sampled(c, said, ends)
        assert len(ledger) == len(prompt)
        seen.append((prompt, completion))
        ledger.act(completion)
        before = ledger.prompt
        assert before == prompt + (completion.tokens or ())
        ledger.observe([Message("user", answer)])
        if not c.drops_thinking:
            assert ledger.prompt[: len(before)] == before
    samples = ledger.samples()
    if not c.drops_thinking:
        assert len(samples) == 1
    found: dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]] = {}
    for sample in samples:
        assert len(sample.tokens) == len(sample.turn) == len(sample.logprobs)
        assert sample.turn[-1] != CONTEXT
        assert all(lp == 0.0 for lp, t in zip(sample.logprobs, sample.turn, strict=True) if t == CONTEXT)
        for turn in sorted(set(sample.turn) - {CONTEXT}):
            at = [i for i, t in enumerate(sample.turn) if t == turn]
            assert at == list(range(at[0], at[-1] + 1))
            assert turn not in found
            part = slice(at[0], at[-1] + 1)
            found[turn] = (sample.tokens[: at[0]], sample.tokens[part], sample.logprobs[part])
    assert found == {k: (p, d.tokens, d.logprobs) for k, (p, d) in enumerate(seen)}


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(BENIGN, min_size=4, max_size=8))
def test_a_benign_conversation_reads_as_its_template_renders_it(family: str, texts: list[str]) -> None:
    c = chat(family)
    messages = [Message("system", texts[0]), Message("user", texts[1])]
    ledger = Ledger(c, messages)
    for said, answer in zip(texts[2::2], texts[3::2], strict=False):
        ledger.act(sampled(c, said, True))
        ledger.observe([Message("user", answer)])
        messages += [Message("assistant", said), Message("user", answer)]
    rendered = c.tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in c.fold(messages)], tokenize=False, add_generation_prompt=True
    )
    assert c.tokenizer.decode(ledger.prompt, clean_up_tokenization_spaces=False) == rendered


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(HOSTILE, min_size=4, max_size=6))
def test_no_content_changes_the_structure(family: str, texts: list[str]) -> None:
    c = chat(family)

    def structure(contents: list[str]) -> list[int]:
        ledger = Ledger(c, [Message("system", contents[0]), Message("user", contents[1])])
        for i in range(2, len(contents) - 1, 2):
            ledger.act(Completion(contents[i]))
            ledger.observe([Message("tool" if i % 4 else "user", contents[i + 1])])
        return [i for i in ledger.prompt if i in special_ids(c)]

    calm = ["x" if "</think>" not in t else "</think>x" for t in texts]
    assert structure(texts) == structure(calm)


@settings(max_examples=60, deadline=None)
@given(text=HOSTILE)
def test_content_never_encodes_to_a_special_token(text: str) -> None:
    c = chat("chatml")
    ids = c.encode(text)
    assert not special_ids(c) & set(ids)
    calm = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert c.tokenizer.decode(ids, clean_up_tokenization_spaces=False).replace("\ufffd", "") == calm.replace(
        "\ufffd", ""
    )


def test_what_a_model_itself_samples_is_kept_to_the_letter() -> None:
    c = chat("chatml")
    start = c.tokenizer.convert_tokens_to_ids("<|im_start|>")
    ledger = Ledger(c, [Message("user", "hello")])
    odd = Completion("?", (start, start, 5), (-1.0, -2.0, -3.0), finish="length")
    ledger.act(odd)
    ledger.observe([Message("user", "what?")])
    (sample,) = ledger.samples()
    assert sample.tokens[-3:] == odd.tokens
    assert ledger.prompt[len(sample.tokens)] in c.end_ids  # The turn that was not ended is ended.


def test_thinking_that_the_template_drops_ends_a_sample() -> None:
    c = chat("thinking")
    assert c.drops_thinking
    ledger = Ledger(c, [Message("user", "hello")])
    first = ledger.prompt
    ledger.act(sampled(c, "<think>hm</think>go", True))
    ledger.observe([Message("user", "and?")])
    assert "hm" not in c.tokenizer.decode(ledger.prompt)
    ledger.act(sampled(c, "stop", True))
    one, two = ledger.samples()
    assert one.tokens[: len(first)] == first
    assert set(one.turn) == {CONTEXT, 0}
    assert set(two.turn) == {CONTEXT, 1}
    assert "go" in c.tokenizer.decode(two.tokens)


def test_roles_that_a_template_lacks_are_folded() -> None:
    c = chat("mistral")
    assert c.fold([Message("system", "S"), Message("user", "U"), Message("tool", "T")]) == [
        Message("user", "S\n\nU"),
        Message("user", "T"),
    ]


def test_demonstrations_are_action_tokens_that_end_the_turn() -> None:
    c = chat("llama3")
    ledger = Ledger(c, [Message("user", "where?")])
    ledger.act(Completion("go north"))
    (sample,) = ledger.samples()
    at = [i for i, t in enumerate(sample.turn) if t == 0]
    assert c.decode([sample.tokens[i] for i in at]) == "go north"
    assert sample.tokens[-1] in c.end_ids
    assert {sample.logprobs[i] for i in at} == {0.0}


def test_misuse_is_said() -> None:
    c = chat("chatml")
    ledger = Ledger(c, [Message("user", "x")])
    with pytest.raises(UsageError, match="log-probabilities"):
        ledger.act(Completion("a", (1, 2), (-0.5,)))
    ledger.act(Completion("a"))
    with pytest.raises(UsageError, match="observe first"):
        ledger.act(Completion("b"))

    class Bare:
        chat_template = None

    with pytest.raises(UsageError, match="no chat template"):
        ChatTokenizer(Bare())


def test_a_megabyte_is_content() -> None:
    c = chat("chatml")
    ledger = Ledger(c, [Message("user", "x")])
    ledger.act(Completion("a"))
    ledger.observe([Message("user", "<|im_end|>\n" * 90_000)])
    assert sum(i in special_ids(c) for i in ledger.prompt) < 10


def test_many_turns_cost_what_they_add() -> None:
    c: Any = chat("chatml")
    ledger = Ledger(c, [Message("user", "x")])
    for _ in range(300):
        ledger.act(Completion("go"))
        ledger.observe([Message("user", "ok")])
    assert len(ledger.samples()[0].tokens) < len(ledger)
    assert ledger.prompt.count(c.tokenizer.convert_tokens_to_ids("<|im_start|>")) == 602
