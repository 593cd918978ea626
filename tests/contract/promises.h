/*
 * promises.h - the tests of the contract: each keeps the promise of its number in PROMISES.md.
 */
#ifndef XF_CONTRACT_PROMISES_H
#define XF_CONTRACT_PROMISES_H

/* What a promise can only be tried with. */
#define NEEDS_BROKER 0x01u   /* one that can be stopped */
#define NEEDS_SOURCE 0x02u
#define NEEDS_ACKS 0x04u     /* a source that can be held back, and so is acknowledged */
#define NEEDS_HEADERS 0x08u  /* both ways */
#define NEEDS_DEDUP 0x10u    /* a sink that says so */
#define NEEDS_IDS 0x20u      /* a source that says so */
#define NEEDS_DENIED 0x40u   /* settings that the broker refuses */
#define NEEDS_SIGHT 0x80u    /* the row says what is told */
#define NEEDS_REQUESTS 0x100u /* its sink makes requests, its source sends replies */

#define PROMISES(X)                                                                                \
	X(p01_create_and_destroy_need_no_broker, 0)                                                \
	X(p02_what_is_pure_touches_nothing, 0)                                                     \
	X(p03_stop_may_come_at_any_time, 0)                                                        \
	X(p04_nothing_is_left_after_many_lives, 0)                                                 \
	X(p05_a_broker_may_come_later, NEEDS_BROKER)                                               \
	X(p06_the_backoff_grows, NEEDS_BROKER)                                                     \
	X(p07_a_refused_login_is_said_once, NEEDS_DENIED)                                          \
	X(p10_messages_arrive_once_and_in_order, 0)                                                \
	X(p11_payloads_are_bytes_of_any_size, 0)                                                   \
	X(p12_headers_are_carried, NEEDS_HEADERS)                                                  \
	X(p13_ids_replies_and_types_are_carried, 0)                                                \
	X(p14_priority_and_life_are_carried, 0)                                                    \
	X(p15_subjects_at_the_limits, 0)                                                           \
	X(p16_a_duplicate_is_stored_once, NEEDS_DEDUP)                                             \
	X(p17_ephemeral_is_who_keeps_nothing, NEEDS_SOURCE)                                        \
	X(p18_takes_is_who_takes_away, NEEDS_ACKS)                                                 \
	X(p19_sight_tells_true_numbers, NEEDS_SIGHT)                                               \
	X(p20_credit_holds_back, NEEDS_ACKS)                                                       \
	X(p21_unsettled_messages_come_again_marked, NEEDS_ACKS)                                    \
	X(p22_ids_survive_redelivery, NEEDS_ACKS | NEEDS_IDS)                                      \
	X(p23_settlements_come_in_any_order_and_hold, NEEDS_ACKS)                                  \
	X(p24_a_retry_waits_and_is_marked, NEEDS_ACKS)                                             \
	X(p25_an_extension_keeps_the_message, NEEDS_ACKS)                                          \
	X(p26_a_reject_never_comes_again, NEEDS_ACKS)                                              \
	X(p27_unknown_handles_are_ignored, NEEDS_ACKS)                                             \
	X(p28_a_drain_brings_nothing_new, NEEDS_ACKS)                                              \
	X(p30_stop_completes_all, 0)                                                               \
	X(p31_a_killed_broker_comes_back, NEEDS_BROKER)                                            \
	X(p32_not_sent_was_not_stored, NEEDS_BROKER | NEEDS_ACKS)                                  \
	X(p33_a_stopped_broker_blocks_nobody, NEEDS_BROKER)                                        \
	X(p40_a_reply_finds_its_request, NEEDS_REQUESTS)                                           \
	X(p41_a_reply_to_nobody_is_dropped, NEEDS_REQUESTS)                                        \
	X(p42_requests_go_on_after_an_outage, NEEDS_REQUESTS | NEEDS_BROKER)

#define PROMISE_DECLARE(test, needs) void test(void **state);
PROMISES(PROMISE_DECLARE)
#undef PROMISE_DECLARE

#endif
