# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a server's answer says, and what a failed request means, in words that quote neither."""

from __future__ import annotations

from typing import Any

from radbundles.components.distillation.chat import ChatError, ChatUnavailableError, ConversationError, Reply


def read_completion(answer: Any, max_tokens: int) -> Reply | None:
    """Read a chat completion.

    Args:
        answer: what the ``openai`` client gave; it checks nothing, so that any part may be of any type.
        max_tokens: length limit that the reply was under.

    Returns:
        The reply; None if the answer is not what the protocol says.

    Raises:
        ConversationError: if the model or the server gave no reply on purpose.
    """
    try:
        choice, usage = answer.choices[0], answer.usage
        text, reason, refusal = choice.message.content, choice.finish_reason, choice.message.refusal
        prompt, completion = (usage.prompt_tokens, usage.completion_tokens) if usage is not None else (0, 0)
    except (AttributeError, IndexError, TypeError, KeyError):
        return None
    if refusal:
        raise ConversationError("the model refused to answer")
    if reason == "content_filter":
        raise ConversationError("the server's content filter held the reply back")
    if text is not None and not isinstance(text, str):
        return None
    if not text or not text.strip():
        cut = f", cut off at {max_tokens:,} tokens" if reason == "length" else ""
        raise ConversationError(f"the reply was empty{cut}")
    text = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair could not be stored
    return Reply(text, complete=reason != "length", prompt_tokens=_count(prompt), completion_tokens=_count(completion))


def request_failure(error: Exception, attempts: int, key_variable: str) -> ChatError | ChatUnavailableError:
    """Say what an error of the ``openai`` client means.

    Args:
        error: any of its errors. They hold the request, and so the report: chain none of them.
        attempts: requests that were made if the failure is one that is worth another try.
        key_variable: environment variable of the key.
    """
    import openai

    times = f"{attempts} times" if attempts > 1 else "once"
    if isinstance(error, openai.APITimeoutError):
        return ChatError(f"the server did not answer in time, {times}")
    if isinstance(error, openai.APIConnectionError):
        return ChatError(f"no connection to the server, {times}")
    if not isinstance(error, openai.APIStatusError):
        return ChatError(f"the client failed with {type(error).__name__}")
    status = error.status_code
    if status in (401, 403):
        return ChatUnavailableError(
            f"the server refused the key ({status}): put one that it takes into the environment variable {key_variable}"
        )
    if status in (404, 405):
        return ChatUnavailableError(
            f"the server has no such page or model ({status}): check that the address ends as the server wants it, "
            "mostly in /v1, and that it lists the model"
        )
    if 300 <= status < 400:
        return ChatUnavailableError(
            f"the server redirects to another address ({status}), which is never followed: give the final address"
        )
    repeated = status in (408, 409, 429) or status >= 500
    return ChatError(f"the server answered {status}, {times if repeated else 'once'}")


def _count(tokens: object) -> int:
    return tokens if type(tokens) is int and tokens > 0 else 0
