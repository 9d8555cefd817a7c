"""The twelve stories, and the test that plays each."""

from __future__ import annotations

STORIES: dict[str, str] = {
    "a storm of kills runs no more again than kills times tasks in flight": (
        "tests/faults/test_storm.py::test_a_server_killed_at_random_moments_loses_and_doubles_nothing"
    ),
    "SIGSTOP past a timeout, then SIGCONT: the late outcome is refused": (
        "tests/faults/test_stories.py::test_a_server_that_was_stopped_past_a_timeout_refuses_the_late_outcome"
    ),
    "a fault during recovery, then a second recovery": (
        "tests/faults/test_stories_of_time.py::"
        "test_a_fault_during_a_recovery_leaves_a_home_that_a_second_one_recovers"
    ),
    "a queue of concurrency 1 with a kill between tasks advances": (
        "tests/faults/test_stories.py::test_a_queue_of_one_goes_on_when_it_is_killed_between_two_tasks"
    ),
    "compaction killed in the middle, then an id reused": (
        "tests/faults/journal/test_trimming.py::test_compaction_killed_in_the_middle_never_gives_an_id_twice"
    ),
    "two runtimes on one home": (
        "tests/faults/test_stories.py::test_a_second_runtime_on_one_home_is_refused_and_disturbs_nothing"
    ),
    "the matrix of clock changes": (
        "tests/unit/actors/test_clock_changes.py::test_the_rules_hold_minute_by_minute"
    ),
    "a restart more often than a schedule's interval still fires it once": (
        "tests/faults/test_stories_of_time.py::"
        "test_restarts_that_come_more_often_than_a_schedule_is_due_neither_lose_nor_double_it"
    ),
    "kills with one place release the slot": (
        "tests/faults/test_stories.py::test_kills_with_one_place_release_it"
    ),
    "cancel racing a failing attempt's retry ends canceled": (
        "tests/faults/test_stories.py::test_a_cancel_that_races_a_retry_ends_canceled"
    ),
    "a duplicate wake event": (
        "tests/unit/actors/test_manager_queues.py::test_a_wake_event_that_comes_twice_is_consumed_once"
    ),
    "a notifier sink that fails after having received": (
        "tests/integration/test_sinks.py::"
        "test_a_receiver_that_dies_after_it_has_received_gets_it_again_with_the_same_id"
    ),
}
