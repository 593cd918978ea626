/*
 * status_made.h - a server's status made by hand, with a different number in every field.
 */
#ifndef XF_TESTS_STATUS_MADE_H
#define XF_TESTS_STATUS_MADE_H

#include <stdio.h>

#include "admin/snapshot.h"

struct made {
	struct xf_endpoint_status sources[1];
	struct xf_leg_status legs[2];
	struct xf_route_status routes[1];
	struct xf_migration_status migrations[1];
	struct xf_snapshot snapshot;
	struct xf_handler_status handler;
};

static void
made_histogram(struct xf_histogram_snapshot *histogram)
{
	*histogram = (struct xf_histogram_snapshot){.sum_us = 3500000, .count = 6};
	histogram->counts[0] = 1;                        /* up to 1 us */
	histogram->counts[10] = 3;                       /* up to 1.024 ms */
	histogram->counts[XF_HISTOGRAM_BUCKETS - 1] = 2; /* the rest */
}

static void
made_leg(struct xf_leg_status *leg, const char *name, const char *transport, uint64_t base)
{
	*leg = (struct xf_leg_status){
		.sink = {.name = name,
		         .transport = transport,
		         .plugin = "local",
		         .subject = "{subject}",
		         .state = XF_STATE_UP,
		         .was_up = true,
		         .reconnects = base + 1,
		         .violations = base + 2,
		         .sight = {.struct_size = sizeof(struct xf_sight),
		                   .known = XF_SIGHT_DEPTH | XF_SIGHT_CONSUMERS,
		                   .depth = base + 1000,
		                   .lag = base + 2000,
		                   .consumers = base + 3000},
		         .sight_age_ms = 1500},
		.accepted = base + 3,
		.confirmed = base + 4,
		.refused = base + 5,
		.dropped = base + 6,
		.crossed = base + 7,
		.in_flight = base + 8,
		.retried = base + 9,
		.copies = base + 10,
		.no_receiver = base + 11,
		.moved = base + 12,
		.only = base + 14,
		.oldest_ms = base + 13,
	};
	made_histogram(&leg->publish);
}

static void
made_init(struct made *made)
{
	*made = (struct made){0};
	made->sources[0] = (struct xf_endpoint_status){.name = "orders/from",
		                                       .transport = "rabbit",
		                                       .plugin = "amqp",
		                                       .subject = "orders.>",
		                                       .state = XF_STATE_UP,
		                                       .was_up = true,
		                                       .reconnects = 51,
		                                       .violations = 52};
	made_leg(&made->legs[0], "orders/to/old", "redis-old", 100);
	made_leg(&made->legs[1], "orders/to/new", "nats-new", 200);
	made->legs[1].sink.state = XF_STATE_BLOCKED;
	snprintf(made->legs[1].sink.reason, sizeof made->legs[1].sink.reason, "no stream takes 'orders.x'");
	made->handler = (struct xf_handler_status){
		.name = "orders/exec",
		.plugin = "exec",
		.threaded = true,
		.state = XF_STATE_DOWN,
		.reason = "no such file",
		.taken = 328,
		.passed = 41,
		.dropped = 42,
		.failed = 43,
		.delayed = 44,
		.refused = 45,
		.cancelled = 46,
		.violations = 47,
		.number_count = 2,
		.numbers = {{"cache_hits", "Found.", 48, 0, 0}, {"cache_bytes", "Kept.", 49, 1, 0}},
	};
	made->routes[0] = (struct xf_route_status){
		.name = "orders",
		.promise = "at least once",
		.migration = "orders",
		.ok = true,
		.accepted = 11,
		.acked = 12,
		.rejected = 13,
		.overflow = 14,
		.filtered = 15,
		.copies = 21,
		.duplicates = 22,
		.in_flight = 16,
		.in_flight_bytes = 17,
		.redelivered = 18,
		.replies = {31, 32, 33, 34, 35},
		.source_count = 1,
		.sources = made->sources,
		.leg_count = 2,
		.legs = made->legs,
		.handler_count = 1,
		.handlers = &made->handler,
	};
	made_histogram(&made->routes[0].handover);
	made->migrations[0] = (struct xf_migration_status){
		.name = "orders",
		.percent = 2501,
		.mirror = XF_MIRROR_REQUIRED,
		.lanes_new = 2400,
		.lanes_moving = 101,
		.lanes_stuck = 7,
		.crossed = 9,
	};
	made->migrations[0].sides[0] = made->legs[0];
	made->migrations[0].sides[1] = made->legs[1];
	made->snapshot = (struct xf_snapshot){
		.server = "edge-1",
		.ready = true,
		.route_count = 1,
		.routes = made->routes,
		.migration_count = 1,
		.migrations = made->migrations,
		.dead = {.count = 17, .bytes = 40960, .bytes_max = 67108864},
		.process = {.start_ms = 1700000000123,
		            .resident_bytes = 4096000,
		            .open_fds = 21,
		            .max_fds = 1024,
		            .threads = 9,
		            .cpu_seconds = 1.5},
	};
}

#endif
