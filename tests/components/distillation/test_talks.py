# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import traceback
from collections.abc import Sequence

import pytest
from tests.components.distillation.scripted_model import PROMPT, ScriptedModel, ThreadedModel, found, reply, turns

from radbundles.components.distillation.chat import ChatError, ChatUnavailableError, ConversationError, Message, Reply
from radbundles.components.distillation.talks import Outcome, Talks, Tally

REPORT = {"findings": "Small left effusion. No edema."}
GOOD = reply(found("Small left effusion", "effusion", "present", "small", "left"), found("No edema", "edema", "absent"))
INVENTED = reply(found("Small left effusion"), found("Words that nobody dictated", "edema"))
SECRET = "Smithson"


def outcome_of(*said: Reply | str | Exception, attempts: int = 3) -> Outcome:
    """The outcome of one conversation in which the model says these things in turn."""
    script = iter(said)
    talks: Talks[int] = Talks(ScriptedModel(lambda _: next(script)), PROMPT, attempts=attempts)
    talks.start(7, REPORT)
    key, outcome = talks.next()
    assert key == 7 and talks.is_idle
    assert next(script, None) is None, "the model was asked too little"
    return outcome


def test_good_reply_ends_the_conversation() -> None:
    outcome = outcome_of(GOOD)
    assert outcome.output is not None
    assert outcome.output["text"] == "There is effusion. There is no edema."
    assert outcome.output["entities"][0]["descriptors"] == ["small", "left"]
    assert (outcome.reason, outcome.tally) == (None, Tally(1, 100, 10, 0, 0))


def test_faulty_reply_is_sent_back_and_mended() -> None:
    model = ScriptedModel(lambda messages: "no JSON" if len(turns(messages)) == 1 else GOOD)
    talks: Talks[str] = Talks(model, PROMPT)
    talks.start("a", REPORT)
    _, outcome = talks.next()
    assert outcome.output is not None and outcome.tally == Tally(2, 200, 20, 0, 0)
    first, second = model.asked
    assert first == PROMPT.messages(REPORT)
    assert second[: len(first)] == first
    assert turns(second)[1] == "no JSON" and "JSON" in turns(second)[2]


def test_what_is_left_is_taken_when_attempts_are_used_up() -> None:
    outcome = outcome_of(INVENTED, INVENTED, attempts=2)
    assert outcome.output is not None and outcome.output["text"] == "There is effusion."
    assert outcome.tally == Tally(2, 200, 20, rejected_spans=2, rejected_descriptors=0)


def test_output_outlives_a_later_reply_without_one() -> None:
    outcome = outcome_of(INVENTED, "no JSON", attempts=2)
    assert outcome.output is not None and outcome.output["text"] == "There is effusion."


def test_a_worse_reply_does_not_replace_a_better_one_unless_it_is_faultless() -> None:
    poorer = reply(found("words that nobody dictated"))
    outcome = outcome_of(INVENTED, poorer, attempts=2)
    assert outcome.output is not None and outcome.output["text"] == "There is effusion."
    outcome = outcome_of(INVENTED, reply(), attempts=3)
    assert outcome.output is not None and outcome.output["text"] == ""


def test_a_reply_rejected_as_a_whole_does_not_mean_that_there_is_no_entity() -> None:
    poorer = reply(found("words that nobody dictated"))
    assert outcome_of(poorer, attempts=1).reason == "1 of 1 quotes do not occur in the report"
    outcome = outcome_of(reply(), attempts=1)
    assert outcome.output is not None and outcome.reason is None


def test_reason_is_given_when_no_reply_has_an_output() -> None:
    outcome = outcome_of("no JSON", "{}", "still none", attempts=3)
    assert outcome == Outcome(None, "the reply was not JSON", Tally(3, 300, 30, 0, 0))
    assert outcome_of(Reply('{"findings": [', complete=False), attempts=1).reason == "the reply was cut off"


def test_conversation_that_is_turned_down_when_it_grows_keeps_its_output() -> None:
    outcome = outcome_of(INVENTED, ConversationError("too long"))
    assert outcome.output is not None and outcome.reason is None


def test_conversation_that_breaks_off_fails_whatever_was_said_before() -> None:
    assert outcome_of(INVENTED, ChatError("no connection")) == Outcome(
        None, "no connection", Tally(2, 100, 10, rejected_spans=1, rejected_descriptors=0)
    )


def test_missed_replies_are_handed_out_after_the_next_reply() -> None:
    said: list[Exception | str] = [ChatError("gone"), GOOD]
    script = iter(said)
    model = ScriptedModel(lambda _: next(script), held=True)
    talks: Talks[str] = Talks(model, PROMPT)
    talks.start("missed", REPORT)
    talks.start("good", REPORT)
    model.release()
    model.release()
    assert [talks.next()[0], talks.next()[0]] == ["missed", "good"]


@pytest.mark.parametrize(("slots", "enough"), [(2, 16), (20, 40)])
def test_a_model_that_is_gone_is_told_from_hard_reports(slots: int, enough: int) -> None:
    model = ScriptedModel(lambda _: GOOD if len(model.asked) == 1 else ChatError("no connection"), slots=slots)
    talks: Talks[int] = Talks(model, PROMPT)
    talks.start(0, REPORT)
    assert talks.next()[1].output is not None
    for key in range(enough - 1):
        talks.start(key, REPORT)
        assert talks.receive() == []  # held back even when nothing else is under way
    talks.start(enough, REPORT)
    with pytest.raises(ChatUnavailableError, match=rf"no reply {enough} times in a row, the last time: no connection"):
        talks.receive()


def test_a_reply_in_between_starts_the_count_again() -> None:
    said: list[Exception | str] = [*[ChatError("gone")] * 15, GOOD, *[ChatError("gone")] * 15, GOOD]
    script = iter(said)
    talks: Talks[int] = Talks(ScriptedModel(lambda _: next(script), slots=8), PROMPT)
    ended = []
    for key in range(len(said)):
        talks.start(key, REPORT)
        ended += talks.receive()
    assert [key for key, _ in ended] == list(range(32))
    assert [outcome.reason for _, outcome in ended].count("gone") == 30


def test_reports_that_a_live_model_turns_down_are_no_sign_of_its_end() -> None:
    model = ScriptedModel(lambda messages: GOOD if len(model.asked) == 1 else ConversationError("too long"))
    talks: Talks[int] = Talks(model, PROMPT)
    for key in range(50):
        talks.start(key, REPORT)
        assert talks.next()[0] == key


def test_a_model_that_turns_everything_down_is_unavailable() -> None:
    talks: Talks[int] = Talks(ScriptedModel(lambda _: ConversationError("refused")), PROMPT)
    for key in range(16):
        talks.start(key, REPORT)
    with pytest.raises(ChatUnavailableError, match="refused"):
        talks.next()


def test_missed_replies_are_handed_out_at_the_end() -> None:
    assert outcome_of(ChatError("no connection")) == Outcome(None, "no connection", Tally(requests=1))


def test_unavailable_model_is_not_a_fault_of_the_report() -> None:
    with pytest.raises(ChatUnavailableError, match="wrong key"):
        outcome_of(ChatUnavailableError("wrong key"))


def test_errors_of_a_model_are_never_quoted() -> None:
    outcome = outcome_of(RuntimeError(SECRET))
    assert outcome.reason == "the backend scripted failed with RuntimeError"
    talks: Talks[int] = Talks(ScriptedModel(lambda _: RuntimeError(SECRET)), PROMPT)
    for key in range(16):
        talks.start(key, REPORT)
    with pytest.raises(ChatUnavailableError) as error:
        talks.next()
    assert SECRET not in "".join(traceback.format_exception(error.value))
    assert error.value.__context__ is None


def test_room_is_as_wide_as_the_slots() -> None:
    talks: Talks[int] = Talks(model := ScriptedModel(lambda _: GOOD, slots=2, held=True), PROMPT)
    talks.start(1, REPORT)
    assert talks.has_room
    talks.start(2, REPORT)
    assert not talks.has_room
    model.release(1)
    assert talks.next()[0] == 2
    assert talks.has_room and not talks.is_idle


def test_replies_from_threads_find_their_report() -> None:
    def say(messages: Sequence[Message]) -> str:
        number = turns(messages)[0].split()[-1]
        return reply(found(f"Effusion {number}"))

    model = ThreadedModel(say, slots=6, seed=0)
    talks: Talks[int] = Talks(model, PROMPT)
    ended: dict[int, Outcome] = {}
    for key in range(10, 100):
        while not talks.has_room:
            ended.update([talks.next()])
        talks.start(key, {"findings": f"{'x' * key} Effusion {key}"})
    while not talks.is_idle:
        ended.update([talks.next()])
    model.close()
    starts = {
        key: outcome.output and outcome.output["entities"][0]["evidence"]["start"] for key, outcome in ended.items()
    }
    assert starts == {key: key + 1 for key in range(10, 100)}


def test_nothing_to_wait_for_is_said() -> None:
    with pytest.raises(RuntimeError, match="no conversation"):
        Talks(ScriptedModel(lambda _: GOOD), PROMPT).next()
    with pytest.raises(RuntimeError, match="no conversation"):
        Talks(ScriptedModel(lambda _: GOOD), PROMPT).receive()


def test_attempts_are_checked() -> None:
    with pytest.raises(ValueError, match="attempts must be at least 1, not 0"):
        Talks(ScriptedModel(lambda _: GOOD), PROMPT, attempts=0)
