"""A model behind any OpenAI-compatible server: it is sent pictures, captions and notes, and its words come as a stream.

Memory is encoded by the bundled tower; what the server's model sees are the JPEGs that memory keeps beside the tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import torch

from encoders import VisionEncoder
from llm.base import Piece, Usage
from llm.budget import Budget, Limits, Spent
from llm.endpoint import KEY_VARIABLE, Endpoint
from llm.errors import BudgetError, NoNoteError, RemoteError
from llm.manners import MAX_PICTURES, Manners
from llm.prompt import NoteRequest
from llm.remote_connection import Connection, Patience, Pauses
from llm.remote_faults import RemoteFault, told
from llm.remote_prompt import REMOTE_NOTE, RemotePrompt, remote_prompt
from llm.thoughts import MAX_THOUGHT_TOKENS, Thoughts
from memory import Evidence, Reach

log = logging.getLogger(__name__)

MAX_TRIES = 4
"""Of a question that the server answers with an error; one that cannot be reached is tried until the time is up."""
PICTURE_TOKENS = 600
"""What a picture is taken to cost until the server has told what it does."""


class RemoteModel:
    """A LanguageModel whose answers come over the network, for the event loop to wait for, never the device thread.

    encoder, device, dtype  of the bundled checkpoint, for memory
    pauses                  makes what says how long to wait before the next try
    """

    knows_only: str | None = None

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        encoder: VisionEncoder,
        device: torch.device,
        dtype: torch.dtype,
        pauses: Callable[[], Pauses],
        limits: Limits | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.name = str(endpoint)
        self.encoder, self.device, self.dtype = encoder, device, dtype
        self.budget = Budget(limits)
        self._endpoint = endpoint
        self._patience = patience or Patience()
        self._pauses = pauses
        self._connection = Connection(endpoint, patience=self._patience, pauses=pauses)
        self._manners, self._learned_from = Manners(), 0
        self._picture_tokens = PICTURE_TOKENS
        self._is_told_unseen = False

    def __repr__(self) -> str:
        return f"RemoteModel({self.name})"

    @property
    def usage(self) -> Usage:
        limits, budget = self.budget.limits, self.budget
        return Usage(
            is_up=self._connection.is_up,
            calls=budget.num_calls,
            tokens=budget.num_tokens,
            refused=budget.num_refused,
            calls_last_hour=budget.calls_last_hour,
            tokens_last_hour=budget.tokens_last_hour,
            calls_per_hour=limits.calls_per_hour,
            tokens_per_hour=limits.tokens_per_hour,
        )

    def max_slots(self, _question: str, *, camera: str, reach: Reach) -> int:  # noqa: ARG002 - the server has the tokenizer
        """As many as the server took pictures so far; of one that takes none, captions and notes of so many."""
        return self._manners.most_pictures or MAX_PICTURES

    async def keep_connected(self) -> None:
        """For ever, beside the agent."""
        await self._connection.keep()

    async def close(self) -> None:
        await self._connection.close()

    async def answer(
        self, evidence: Evidence, question: str, *, camera: str, max_new_tokens: int, is_current: bool = True
    ) -> AsyncGenerator[Piece, None]:
        """Pieces as they come. Before the first one, what may pass is tried again; leaving closes the stream.

        Raises: RemoteError, BudgetError; NoNoteError where a note cannot be had at the first try.
        """
        is_note = isinstance(question, NoteRequest)
        if is_note and (self._connection.is_up is not True or not self._manners.most_pictures):
            raise NoNoteError("no note without a server that sees")
        loop, pauses, num_tries = asyncio.get_running_loop(), self._pauses(), 0
        before: RemoteFault | None = None
        is_lost = self._connection.is_up is False
        first_by = loop.time() + (self._patience.lost if is_lost else self._patience.total)
        while True:
            self._forget_manners()
            manners = self._manners
            prompt = remote_prompt(
                evidence,
                REMOTE_NOTE if is_note else question,
                camera=camera,
                is_current=is_current,
                most_pictures=manners.most_pictures,
                has_system=manners.has_system,
            )
            try:
                spent = self._reserve(prompt, max_new_tokens, is_note=is_note)
                async with aclosing(self._once(prompt, spent, max_new_tokens, first_by=first_by)) as pieces:
                    async for piece in pieces:
                        yield piece
            except RemoteFault as fault:
                if is_note:
                    self._learn(fault, prompt)
                    raise NoNoteError(f"no note: {fault.kind} {fault}") from fault
                if self._learn(fault, prompt):
                    continue
                num_tries += fault.kind != "unreachable"
                pause_seconds = max(pauses.next_seconds(), fault.retry_after_seconds or 0.0)
                may_pass = fault.kind in ("unreachable", "busy", "failed") and num_tries < MAX_TRIES
                if not may_pass or loop.time() + pause_seconds >= first_by:
                    cause = before if before is not None and fault.kind == "slow" else fault  # that one was cut short
                    raise await self._told(cause) from fault
                before = fault
                await asyncio.sleep(pause_seconds)
            else:
                return

    async def _once(
        self, prompt: RemotePrompt, spent: Spent, max_new_tokens: int, *, first_by: float
    ) -> AsyncGenerator[Piece, None]:
        """One call. Raises: RemoteFault."""
        thoughts, num_said, num_thought = Thoughts(), 0, 0
        prompt_tokens, answer_tokens = prompt.num_tokens(self._picture_tokens), 0
        is_sent = True
        try:
            async with aclosing(
                self._connection.stream(self._body(prompt, max_new_tokens), first_by=first_by)
            ) as deltas:
                async for delta in deltas:
                    prompt_tokens = self._seen_tokens(prompt, delta.prompt_tokens, prompt_tokens)
                    answer_tokens = delta.answer_tokens or answer_tokens + bool(delta.text)
                    if not delta.text:
                        continue
                    said = "" if delta.is_thought else thoughts.take(delta.text)
                    is_thought = delta.is_thought or thoughts.is_thinking
                    num_said, num_thought = num_said + bool(said), num_thought + is_thought
                    yield Piece(said, is_token=not is_thought)
                    if num_said >= max_new_tokens or num_thought >= MAX_THOUGHT_TOKENS:
                        break
            if last := thoughts.end():
                num_said += 1
                yield Piece(last, is_token=True)
            if not num_said and num_thought:
                raise RemoteFault("thought_only", f"(it thought for {num_thought} tokens)")
            if num_thought:
                self._manners = replace(self._manners, thinks=True)
        except RemoteFault as fault:
            is_sent = fault.kind != "unreachable"
            if fault.kind not in ("slow", "broken_off", "garbled", "thought_only"):
                prompt_tokens = 0  # refused, so it cost nothing
            raise
        finally:
            if is_sent:
                self.budget.settle(spent, tokens=prompt_tokens + answer_tokens)
            else:
                self.budget.release(spent)

    def _body(self, prompt: RemotePrompt, max_new_tokens: int) -> dict[str, Any]:
        manners = self._manners
        body: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": prompt.messages,
            manners.max_tokens_key: self._most_tokens(max_new_tokens),
        }
        if manners.has_temperature:
            body["temperature"] = 0.0
        if manners.has_usage:
            body["stream_options"] = {"include_usage": True}
        return body

    def _most_tokens(self, max_new_tokens: int) -> int:
        return max_new_tokens + (MAX_THOUGHT_TOKENS if self._manners.thinks else 0)

    def _reserve(self, prompt: RemotePrompt, max_new_tokens: int, *, is_note: bool) -> Spent:
        tokens = prompt.num_tokens(self._picture_tokens) + self._most_tokens(max_new_tokens)
        try:
            return self.budget.reserve(tokens=tokens, is_note=is_note)
        except BudgetError as error:
            if is_note:
                raise NoNoteError(str(error)) from error
            raise

    def _seen_tokens(self, prompt: RemotePrompt, counted: int | None, before: int) -> int:
        """What the prompt cost; where the server counted, also what a picture does."""
        if counted is None:
            return before
        if prompt.is_unseen(counted) and not self._is_told_unseen:
            self._is_told_unseen = True
            log.warning(
                "model %s: the server counted %d tokens for a question with %d pictures, so its model does not seem to "
                "see: it answers from times and notes alone; give it a model that sees",
                self.name,
                counted,
                prompt.num_pictures,
            )
        if prompt.num_pictures:
            text_tokens = prompt.num_tokens(0)
            self._picture_tokens = max(1, -(-max(0, counted - text_tokens // 2) // prompt.num_pictures))
        return counted

    def _forget_manners(self) -> None:
        """A server that came back may be another one."""
        if self._connection.num_ups != self._learned_from:
            if self._learned_from:
                self._manners, self._is_told_unseen = Manners(), False
            self._learned_from = self._connection.num_ups

    def _learn(self, fault: RemoteFault, prompt: RemotePrompt) -> bool:
        """True where the same question, put otherwise, may be taken."""
        manners = self._manners.after(fault, num_pictures=prompt.num_pictures)
        if manners == self._manners:
            return False
        if manners.most_pictures != self._manners.most_pictures:
            takes = f"at most {manners.most_pictures}" if manners.most_pictures else "captions and notes but no"
            log.info("model %s: from now on it is sent %s pictures %s", self.name, takes, fault)
        self._manners = manners
        return True

    async def _told(self, fault: RemoteFault) -> RemoteError:
        models: list[str] = []
        if fault.kind == "no_model":
            try:
                models = await self._connection.models()
            except RemoteFault as error:
                log.debug("model %s: its models cannot be listed: %s", self.name, error)
        return told(fault, self.name, has_key=bool(self._endpoint.key), key_variable=KEY_VARIABLE, models=models)
