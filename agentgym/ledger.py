"""The token ledger: what the sampler saw and wrote, token by token, and never anything else.

Conversations are text, models read tokens, and encoding a conversation anew each turn is slow and drifts: the ids that
a model sampled are not the ids that their text encodes to. So the ledger only appends: template tokens, observation
tokens, the exact sampled ids.

Where a template rewrites history (drops the thinking of earlier turns, moves the system message to the newest turn) the
prefix breaks: the training sample ends there and a new one begins, whose prompt is the conversation as the template
renders it now. Turns that are kept unchanged keep their sampled ids even there; what the template changed is text
that no model sampled, and is encoded as context.

A model may sample anything, also `<|im_start|>` in the middle of its turn. These ids are its own, recorded as sampled,
because it is what was seen. Their text, should it come back in an observation, is as inert as all text.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentgym.chat import ChatTokenizer, TokenizerLike
from agentgym.errors import UsageError
from agentgym.layout import WHOLE, Layout, Shape
from agentgym.types import Completion, Message, Sample

__all__ = ["CONTEXT", "ChatTokenizer", "Ledger", "TokenizerLike"]

CONTEXT = -1
"""Turn of tokens that the model did not write."""


class _Text:
    """A content given as text, split at its reasoning tags if it is a model's."""

    __slots__ = ("skeleton", "spans", "whole")

    def __init__(self, chat: ChatTokenizer, message: Message, limit: int | None) -> None:
        role, text = message
        if limit is not None and role in ("user", "tool"):
            text = chat.shorten(text, limit)
        self.skeleton, self.spans = chat.template.split(text) if role == "assistant" else ("", ())
        self.spans = tuple(chat.clean(span) for span in self.spans)
        self.whole = chat.clean(text, role)


class _Action:
    """A turn of the model, known by its ids."""

    __slots__ = ("closed", "ids", "skeleton", "spans")

    def __init__(self, chat: ChatTokenizer, ids: tuple[int, ...]) -> None:
        self.ids = ids
        self.closed = bool(ids) and ids[-1] == chat.end_id
        """Whether the model wrote the template's own end of turn."""
        self.skeleton, self.spans = "", ()
        if chat.template.reasons:
            self.skeleton, self.spans = chat.template.split(chat.decode(ids))
            self.spans = tuple(chat.clean(span) for span in self.spans)


class Ledger:
    """The tokens of one conversation. `prompt` is what the sampler must see next.

    >>> ledger = Ledger(chat, [Message("user", "Hello")])   # doctest: +SKIP
    >>> completion = await sample(ledger.prompt)            # doctest: +SKIP
    >>> ledger.act(completion)                              # doctest: +SKIP
    >>> ledger.observe([Message("user", "And now?")])       # doctest: +SKIP
    """

    def __init__(
        self, chat: ChatTokenizer, messages: Sequence[Message], *, max_observation_tokens: int | None = None
    ) -> None:
        """Begin with a conversation.

        Args:
            chat: tokenizer and template.
            messages: how it begins. Assistant messages among them are context, not actions.
            max_observation_tokens: user and tool messages longer than about this lose their middle, visibly.

        Raises:
            UsageError: there is no message, or the template refuses them.
        """
        if not messages:
            raise UsageError("a conversation needs at least one message")
        self._chat = chat
        self._limit = max_observation_tokens
        self._contents: list[_Text | _Action] = []
        self._turn = 0
        self._waiting = True
        self._done: list[Sample] = []
        shown = chat.template.normalise(messages, first=True)
        self._shape, contents = self._extend(chat.template.root, shown)
        self._open(self._shape.layout, contents)

    @property
    def prompt(self) -> tuple[int, ...]:
        """Ids of the conversation so far; when it is the model's turn they end with the generation prompt."""
        return tuple(self._tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def act(self, completion: Completion) -> None:
        """The model's turn: exactly the sampled ids; `demonstrate` its text where there are none.

        Without log-probabilities they are recorded as 0.0: fine for supervised learning, wrong for importance ratios.

        Raises:
            UsageError: it is not the model's turn, or ids and log-probabilities differ in number.
        """
        ids, logprobs = completion.tokens, completion.logprobs
        if ids is None:
            self.demonstrate(completion.text)
            return
        if logprobs is not None and len(logprobs) != len(ids):
            raise UsageError(f"a completion has {len(ids)} tokens and {len(logprobs)} log-probabilities")
        self._act(tuple(ids), logprobs)

    def demonstrate(self, text: str) -> None:
        """A turn that somebody else wrote, to be learnt from: encoded, ended, with log-probabilities 0.0.

        Raises:
            UsageError: it is not the model's turn.
        """
        self._act(tuple(self._chat.write(text)), None)

    def observe(self, messages: Sequence[Message]) -> None:
        """What the environment answered: ends the model's turn if it did not, and the next prompt follows.

        Raises:
            UsageError: the template refuses the conversation, or it is the model's turn; the ledger is as before.
        """
        if self._waiting:
            raise UsageError("observe: it is the model's turn; call act first")
        action = self._contents[-1]
        before = self._shape
        shown = self._chat.template.normalise(messages, first=False)
        shape, contents = self._extend(before.then("assistant", action.skeleton), shown)
        rest = shape.grown(before)
        if rest is None:
            layout = shape.layout
            self._done += self._sample()
            self._open(layout, contents)
        else:
            self._contents += contents
            self._append(self._weave(rest, after=action))
        self._shape, self._waiting = shape, True

    def samples(self) -> tuple[Sample, ...]:
        """Training sequences: one, or more where the template broke the prefix; nothing after the last action."""
        return (*self._done, *self._sample())

    # ----------------------------------------------------------------------------------------------------------------

    def _extend(self, shape: Shape, messages: Sequence[Message]) -> tuple[Shape, list[_Text]]:
        contents = [_Text(self._chat, message, self._limit) for message in messages]
        for message, content in zip(messages, contents, strict=True):
            shape = shape.then(message.role, content.skeleton)
        return shape, contents

    def _open(self, layout: Layout, contents: Sequence[_Text]) -> None:
        """Begin a segment with the whole conversation."""
        self._contents += contents
        self._tokens: list[int] = []
        self._turns: list[int] = []
        self._logprobs: list[float] = []
        after = None
        start = 0
        for place, (index, span) in enumerate(layout.refs):
            content = self._contents[index]
            if span == WHOLE and isinstance(content, _Action):
                self._append(self._weave(layout, after, start, place))
                self._append(content.ids)
                after, start = content, place + 1
        self._append(self._weave(layout, after, start))

    def _weave(
        self, layout: Layout, after: _Text | _Action | None, start: int = 0, end: int | None = None
    ) -> Sequence[int]:
        """Ids of a stretch of the layout that holds no sampled ids: gaps `start` to `end`, both included.

        Args:
            layout: where everything goes.
            after: the action that came before the stretch.
            start: first gap.
            end: last gap, which comes before an action; `None` for the layout's last one, the generation prompt.
        """
        chat = self._chat
        gaps = layout.gaps[start : None if end is None else end + 1]
        texts = [self._text(index, span) for index, span in layout.refs[start:end]]
        if end is not None:
            gaps = (*gaps[:-1], chat.before_action(gaps[-1]))
        ids = chat.weave(gaps, texts)
        if isinstance(after, _Action) and after.closed and chat.end_id in chat.structure(gaps[:1]):
            return ids[ids.index(chat.end_id) + 1 :]  # the model wrote it: a second one would be the template's
        return ids

    def _text(self, index: int, span: int) -> str:
        content = self._contents[index]
        if isinstance(content, _Text) and span == WHOLE:
            return content.whole
        return content.spans[span]

    def _act(self, ids: tuple[int, ...], logprobs: Sequence[float] | None) -> None:
        if not self._waiting:
            raise UsageError("act: the last turn has not been answered; call observe first")
        self._tokens += ids
        self._turns += [self._turn] * len(ids)
        self._logprobs += [0.0] * len(ids) if logprobs is None else logprobs
        self._contents.append(_Action(self._chat, ids))
        self._turn += 1
        self._waiting = False

    def _append(self, ids: Sequence[int]) -> None:
        self._tokens += ids
        self._turns += [CONTEXT] * len(ids)
        self._logprobs += [0.0] * len(ids)

    def _sample(self) -> tuple[Sample, ...]:
        end = len(self._turns)
        while end and self._turns[end - 1] == CONTEXT:
            end -= 1
        if not end:
            return ()
        return (Sample(tuple(self._tokens[:end]), tuple(self._turns[:end]), tuple(self._logprobs[:end])),)
