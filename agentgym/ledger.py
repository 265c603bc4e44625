"""The token ledger: what the sampler saw and wrote, token by token, and never anything else.

Conversations are text, models read tokens, and encoding a conversation anew each turn is slow and drifts: the ids that
a model sampled are not the ids that their text encodes to. So the ledger only appends. The chat template is rendered
once per *shape* of conversation with placeholders for the contents; what stands between the placeholders is glue,
encoded with special tokens alive; contents are encoded with special tokens inert, so no text can forge a turn.

Where a template rewrites history (drops the thinking of earlier turns, say) the prefix breaks: the sample ends there
and a new one begins; sampled ids that the template keeps are kept.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from agentgym.errors import UsageError
from agentgym.types import Completion, Message, Sample

SURROGATES = re.compile("[\ud800-\udfff]")
MARK = "\u2402agentgym-content-{}\u2403"
THINK_END = "</think>"
CONTEXT = -1
"""Turn of tokens that the model did not write."""
NOBODY = -1
"""Version of tokens that no weights sampled."""


class ChatTokenizer:
    """A tokenizer with its chat template, split into glue and contents.

    Attributes:
        tokenizer: the transformers tokenizer (a fast one with a chat template).
        end_ids: ids that end an assistant's turn.
        drops_thinking: whether the template removes `<think>` blocks from earlier turns.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Raises: `UsageError` if the tokenizer has no chat template or is not a fast one."""
        if not getattr(tokenizer, "chat_template", None):
            raise UsageError("the tokenizer has no chat template: use an instruct model")
        if not getattr(tokenizer, "is_fast", False):
            raise UsageError("a fast tokenizer (tokenizer.json) is needed")
        self.tokenizer = tokenizer
        self._inert = copy.deepcopy(tokenizer.backend_tokenizer)
        self._inert.encode_special_tokens = True
        self._special = frozenset(int(i) for i in tokenizer.all_special_ids)
        self._glue = lru_cache(maxsize=4096)(self._render_glue)
        self._encode_glue = lru_cache(maxsize=4096)(self._encode_template_text)
        self._folds_system = not self._accepts(("system", "user"))
        self._has_tool = self._accepts(("user", "assistant", "tool"))
        after = self._render((Message("user", "u"), Message("assistant", MARK.format(0)), Message("user", "v")))
        tail = after.rpartition(MARK.format(0))[2]
        end = next((i for i in self._encode_glue(tail) if i in self._special), None)
        self.end_ids = frozenset(i for i in (end, tokenizer.eos_token_id) if i is not None)
        probe = (Message("user", "u"), Message("assistant", f"<think>zq1{THINK_END}zq2"), Message("user", "v"))
        self.drops_thinking = "zq1" not in self._render(probe)

    def encode(self, text: str) -> list[int]:
        """Content as ids: special tokens in it are plain text, lone surrogates become U+FFFD."""
        ids: list[int] = self._inert.encode(SURROGATES.sub("\ufffd", text), add_special_tokens=False).ids
        return [i for i in ids if i not in self._special] if not self._special.isdisjoint(ids) else ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of what a model wrote, without the end of its turn."""
        shown = [i for i in ids if i not in self.end_ids]
        text: str = self.tokenizer.decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def glue(self, roles: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        """Ids between the contents of a conversation of these roles, before the first to after the last.

        The last piece ends with the prompt for the assistant's next turn. `len(roles) + 1` pieces.
        """
        return self._glue(roles)

    def fold(self, messages: Sequence[Message]) -> list[Message]:
        """The conversation in roles that the template knows: a system message that it does not know goes to the head of
        the first user message, tool results come as user messages where it has no tool role."""
        folded = [m if m.role != "tool" or self._has_tool else Message("user", m.content) for m in messages]
        if self._folds_system and folded and folded[0].role == "system":
            system, *rest = folded
            if rest and rest[0].role == "user":
                rest[0] = Message("user", f"{system.content}\n\n{rest[0].content}")
                return rest
            return [Message("user", system.content), *rest]
        return folded

    def _render(self, messages: Sequence[Message], prompt: bool = True) -> str:
        text: str = self.tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in messages], tokenize=False, add_generation_prompt=prompt
        )
        return text

    def _accepts(self, roles: tuple[str, ...]) -> bool:
        try:
            text = self._render([Message(r, MARK.format(i)) for i, r in enumerate(roles)])  # type: ignore[arg-type]
        except Exception:  # A template raises whatever its author chose.
            return False
        return all(MARK.format(i) in text for i in range(len(roles)))

    def _render_glue(self, roles: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        messages = [Message(role, MARK.format(i)) for i, role in enumerate(roles)]  # type: ignore[arg-type]
        try:
            rest = self._render(messages)
        except Exception as error:
            raise UsageError(f"the chat template refuses the roles {', '.join(roles)}: {error}") from error
        pieces: list[tuple[int, ...]] = []
        for i in range(len(roles)):
            before, mark, rest = rest.partition(MARK.format(i))
            if not mark:
                raise UsageError(f"the chat template loses message {i} of the roles {', '.join(roles)}")
            pieces.append(self._encode_glue(before))
        return (*pieces, self._encode_glue(rest))

    def _encode_template_text(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False)) if text else ()


class Ledger:
    """The tokens of one conversation. `prompt` is what the sampler must see next.

    >>> ledger = Ledger(chat, [Message("user", "Hello")])   # doctest: +SKIP
    >>> ledger.act(completion)                              # doctest: +SKIP
    >>> ledger.observe([Message("user", "And now?")])       # doctest: +SKIP
    """

    def __init__(self, chat: ChatTokenizer, messages: Sequence[Message]) -> None:
        """Raises: `UsageError` if the template refuses the messages."""
        self._chat = chat
        self._messages = chat.fold(messages)
        self._contents = [chat.encode(m.content) for m in self._messages]
        self._turn = 0
        self._closed: list[Sample] = []
        self._waiting = True
        self._open()

    @property
    def prompt(self) -> tuple[int, ...]:
        """Ids of the conversation so far, the head of the assistant's next turn included."""
        return tuple(self._tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def act(self, completion: Completion) -> None:
        """The model's turn: exactly the sampled ids, or the encoded text where there are none.

        Raises:
            UsageError: it is not the model's turn, or ids, log-probabilities and versions differ in number.
        """
        if not self._waiting:
            raise UsageError("act: the last turn has not been answered yet; call observe first")
        if completion.tokens is None:
            self.demonstrate(completion.text)
            return
        logprobs = completion.logprobs or (0.0,) * len(completion.tokens)
        if len(logprobs) != len(completion.tokens):
            raise UsageError(f"{len(completion.tokens)} tokens come with {len(logprobs)} log-probabilities")
        versions = completion.versions or (completion.version,) * len(completion.tokens)
        if len(versions) != len(completion.tokens):
            raise UsageError(f"{len(completion.tokens)} tokens come with {len(versions)} versions of the weights")
        self._append(completion.tokens, self._turn, logprobs, versions)
        self._finish_turn(completion.text, list(completion.tokens))

    def demonstrate(self, text: str) -> None:
        """A turn somebody else wrote, to be learnt from: encoded, ended, with log-probability 0."""
        ids = [*self._chat.encode(text), min(self._chat.end_ids)]
        self._append(ids, self._turn, (0.0,) * len(ids))
        self._finish_turn(text, ids)

    def observe(self, messages: Sequence[Message]) -> None:
        """What the environment answered; the next prompt follows."""
        folded = self._chat.fold(messages) if messages else []
        self._messages += folded
        self._contents += [self._chat.encode(m.content) for m in folded]
        self._waiting = True
        roles = tuple(m.role for m in self._messages)
        glue = self._chat.glue(roles)
        if self._breaks(glue):
            self._close()
            self._open()
            return
        for i in range(self._rendered, len(roles)):
            self._append_glue(glue[i])
            self._append(self._contents[i])
        self._append_glue(glue[-1])
        self._rendered, self._seen = len(roles), glue

    def samples(self) -> tuple[Sample, ...]:
        """Training sequences: one, or more where the template broke the prefix; nothing after the last action."""
        return (*self._closed, *self._sample())

    # ----------------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Begin a segment with all messages so far."""
        self._tokens: list[int] = []
        self._turns: list[int] = []
        self._logprobs: list[float] = []
        self._versions: list[int] = []
        roles = tuple(m.role for m in self._messages)
        self._seen = self._chat.glue(roles)
        for piece, content in zip(self._seen, self._contents, strict=False):
            self._append_glue(piece)
            self._append(content)
        self._append_glue(self._seen[-1])
        self._rendered = len(roles)

    def _finish_turn(self, text: str, ids: list[int]) -> None:
        self._messages.append(Message("assistant", text))
        self._contents.append(ids)
        self._rendered += 1
        self._turn += 1
        self._waiting = False

    def _breaks(self, glue: tuple[tuple[int, ...], ...]) -> bool:
        """Whether the template renders what is already in the ledger differently now."""
        known = len(self._seen)
        rewritten = glue[:known] != self._seen
        if self._chat.drops_thinking:
            for i, message in enumerate(self._messages):
                if message.role == "assistant" and THINK_END in message.content:
                    kept = message.content.rpartition(THINK_END)[2].lstrip("\n")
                    self._messages[i] = Message("assistant", kept)
                    self._contents[i] = self._chat.encode(kept)
                    rewritten = True
        return rewritten

    def _append_glue(self, ids: Sequence[int]) -> None:
        # The model has ended its turn itself; the template's end of turn would be a second one.
        if ids and self._tokens and self._tokens[-1] in self._chat.end_ids and ids[0] in self._chat.end_ids:
            ids = ids[1:]
        self._append(ids)

    def _append(
        self,
        ids: Sequence[int],
        turn: int = CONTEXT,
        logprobs: Sequence[float] | None = None,
        versions: Sequence[int] | None = None,
    ) -> None:
        self._tokens += ids
        self._turns += [turn] * len(ids)
        self._logprobs += logprobs if logprobs is not None else [0.0] * len(ids)
        self._versions += versions if versions is not None else [NOBODY] * len(ids)

    def _close(self) -> None:
        self._closed += self._sample()

    def _sample(self) -> tuple[Sample, ...]:
        last = next((i for i in range(len(self._turns) - 1, -1, -1) if self._turns[i] != CONTEXT), None)
        if last is None:
            return ()
        end = last + 1
        return (
            Sample(
                tokens=tuple(self._tokens[:end]),
                turn=tuple(self._turns[:end]),
                logprobs=tuple(self._logprobs[:end]),
                versions=tuple(self._versions[:end]),
            ),
        )
