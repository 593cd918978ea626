/*
 * Where every member of the public structures stands, on a 64-bit machine. A line that has to change breaks
 * every plugin built before; a structure that grew gets lines for its new members, and its new size.
 */
#include <stddef.h>

#include <crossfade/handler.h>

#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), "the size of " #type " has changed")
#define AT(type, member, offset)                                                                   \
	_Static_assert(offsetof(struct type, member) == (offset), #type "." #member " has moved")

SIZE(xf_str, 16);
AT(xf_str, data, 0);
AT(xf_str, len, 8);

SIZE(xf_header, 32);
AT(xf_header, name, 0);
AT(xf_header, value, 16);

SIZE(xf_error, 512);
AT(xf_error, text, 0);

SIZE(xf_option, 96);
AT(xf_option, struct_size, 0);
AT(xf_option, type, 4);
AT(xf_option, flags, 8);
AT(xf_option, reserved, 12);
AT(xf_option, key, 16);
AT(xf_option, def, 24);
AT(xf_option, min, 32);
AT(xf_option, max, 40);
AT(xf_option, values, 48);
AT(xf_option, fields, 56);
AT(xf_option, unit, 64);
AT(xf_option, help, 72);
AT(xf_option, conflicts, 80);
AT(xf_option, requires_, 88);

SIZE(xf_value, 64);
AT(xf_value, struct_size, 0);
AT(xf_value, type, 4);
AT(xf_value, present, 8);
AT(xf_value, count, 12);
AT(xf_value, i64, 16);
AT(xf_value, f64, 24);
AT(xf_value, str, 32);
AT(xf_value, items, 48);
AT(xf_value, map, 56);

SIZE(xf_host, 120);
AT(xf_host, struct_size, 0);
AT(xf_host, abi_minor, 4);
AT(xf_host, caps, 8);
AT(xf_host, option, 16);
AT(xf_host, now_ms, 24);
AT(xf_host, wall_ms, 32);
AT(xf_host, log, 40);
AT(xf_host, wake, 48);
AT(xf_host, state, 56);
AT(xf_host, emit, 64);
AT(xf_host, complete, 72);
AT(xf_host, settle_within, 80);
AT(xf_host, get_ext, 88);
AT(xf_host, sight, 96);
AT(xf_host, finish, 104);
AT(xf_host, replied, 112);

SIZE(xf_sight, 32);
AT(xf_sight, struct_size, 0);
AT(xf_sight, known, 4);
AT(xf_sight, depth, 8);
AT(xf_sight, lag, 16);
AT(xf_sight, consumers, 24);

SIZE(xf_class, 24);
AT(xf_class, struct_size, 0);
AT(xf_class, kind, 4);
AT(xf_class, name, 8);
AT(xf_class, summary, 16);

SIZE(xf_entry, 72);
AT(xf_entry, magic, 0);
AT(xf_entry, struct_size, 4);
AT(xf_entry, abi_major, 8);
AT(xf_entry, abi_minor, 12);
AT(xf_entry, pointer_size, 16);
AT(xf_entry, build_flags, 20);
AT(xf_entry, caps_required, 24);
AT(xf_entry, id, 32);
AT(xf_entry, version, 40);
AT(xf_entry, licence, 48);
AT(xf_entry, url, 56);
AT(xf_entry, classes, 64);

SIZE(xf_incoming, 160);
AT(xf_incoming, handle, 0);
AT(xf_incoming, subject, 8);
AT(xf_incoming, id, 24);
AT(xf_incoming, key, 40);
AT(xf_incoming, reply, 56);
AT(xf_incoming, content_type, 72);
AT(xf_incoming, payload, 88);
AT(xf_incoming, payload_size, 96);
AT(xf_incoming, headers, 104);
AT(xf_incoming, header_count, 112);
AT(xf_incoming, flags, 116);
AT(xf_incoming, time_ms, 120);
AT(xf_incoming, ttl_ms, 128);
AT(xf_incoming, attempt, 136);
AT(xf_incoming, priority, 140);
AT(xf_incoming, release, 144);
AT(xf_incoming, release_context, 152);

SIZE(xf_settlement, 16);
AT(xf_settlement, handle, 0);
AT(xf_settlement, outcome, 8);
AT(xf_settlement, delay_ms, 12);

SIZE(xf_outgoing, 168);
AT(xf_outgoing, token, 0);
AT(xf_outgoing, subject, 8);
AT(xf_outgoing, id, 24);
AT(xf_outgoing, dedup_id, 40);
AT(xf_outgoing, key, 56);
AT(xf_outgoing, reply, 72);
AT(xf_outgoing, content_type, 88);
AT(xf_outgoing, payload, 104);
AT(xf_outgoing, payload_size, 112);
AT(xf_outgoing, headers, 120);
AT(xf_outgoing, header_count, 128);
AT(xf_outgoing, flags, 132);
AT(xf_outgoing, time_ms, 136);
AT(xf_outgoing, ttl_ms, 144);
AT(xf_outgoing, priority, 152);
AT(xf_outgoing, reserved, 156);
AT(xf_outgoing, request, 160);

SIZE(xf_result, 32);
AT(xf_result, token, 0);
AT(xf_result, code, 8);
AT(xf_result, flags, 12);
AT(xf_result, reason, 16);

SIZE(xf_work, 40);
AT(xf_work, struct_size, 0);
AT(xf_work, ready, 4);
AT(xf_work, credit_messages, 8);
AT(xf_work, draining, 12);
AT(xf_work, credit_bytes, 16);
AT(xf_work, fd, 24);
AT(xf_work, events, 28);
AT(xf_work, timeout_ms, 32);
AT(xf_work, room, 36);

SIZE(xf_endpoint_info, 96);
AT(xf_endpoint_info, struct_size, 0);
AT(xf_endpoint_info, max_in_flight, 4);
AT(xf_endpoint_info, name, 8);
AT(xf_endpoint_info, route, 24);
AT(xf_endpoint_info, transport, 40);
AT(xf_endpoint_info, server, 56);
AT(xf_endpoint_info, subject, 72);
AT(xf_endpoint_info, request_ms, 88);
AT(xf_endpoint_info, replies, 92);

SIZE(xf_source_ops, 88);
AT(xf_source_ops, struct_size, 0);
AT(xf_source_ops, reserved, 4);
AT(xf_source_ops, traits, 8);
AT(xf_source_ops, address, 16);
AT(xf_source_ops, check, 24);
AT(xf_source_ops, create, 32);
AT(xf_source_ops, start, 40);
AT(xf_source_ops, work, 48);
AT(xf_source_ops, settle, 56);
AT(xf_source_ops, stop, 64);
AT(xf_source_ops, destroy, 72);
AT(xf_source_ops, reply, 80);

SIZE(xf_sink_ops, 88);
AT(xf_sink_ops, struct_size, 0);
AT(xf_sink_ops, reserved, 4);
AT(xf_sink_ops, traits, 8);
AT(xf_sink_ops, address, 16);
AT(xf_sink_ops, check, 24);
AT(xf_sink_ops, create, 32);
AT(xf_sink_ops, start, 40);
AT(xf_sink_ops, work, 48);
AT(xf_sink_ops, publish, 56);
AT(xf_sink_ops, stop, 64);
AT(xf_sink_ops, destroy, 72);
AT(xf_sink_ops, reply_to, 80);

SIZE(xf_transport_class, 88);
AT(xf_transport_class, head, 0);
AT(xf_transport_class, options, 24);
AT(xf_transport_class, source_options, 32);
AT(xf_transport_class, sink_options, 40);
AT(xf_transport_class, source, 48);
AT(xf_transport_class, sink, 56);
AT(xf_transport_class, open, 64);
AT(xf_transport_class, close, 72);
AT(xf_transport_class, report, 80);

_Static_assert(XF_ABI_MAJOR == 1 && XF_ENTRY_MAGIC == 0x78666531u, "the handshake has changed");

/* The compiler has done the work. */
SIZE(xf_task, 24);
AT(xf_task, token, 0);
AT(xf_task, message, 8);
AT(xf_task, message_size, 16);
AT(xf_task, flags, 20);

SIZE(xf_outcome, 56);
AT(xf_outcome, token, 0);
AT(xf_outcome, code, 8);
AT(xf_outcome, delay_ms, 12);
AT(xf_outcome, messages, 16);
AT(xf_outcome, count, 24);
AT(xf_outcome, stride, 28);
AT(xf_outcome, reason, 32);
AT(xf_outcome, status, 48);
AT(xf_outcome, flags, 52);

SIZE(xf_handler_info, 56);
AT(xf_handler_info, struct_size, 0);
AT(xf_handler_info, reserved, 4);
AT(xf_handler_info, name, 8);
AT(xf_handler_info, route, 24);
AT(xf_handler_info, server, 40);

SIZE(xf_handler_ops, 104);
AT(xf_handler_ops, struct_size, 0);
AT(xf_handler_ops, reserved, 4);
AT(xf_handler_ops, traits, 8);
AT(xf_handler_ops, check, 16);
AT(xf_handler_ops, create, 24);
AT(xf_handler_ops, start, 32);
AT(xf_handler_ops, work, 40);
AT(xf_handler_ops, process, 48);
AT(xf_handler_ops, cancel, 56);
AT(xf_handler_ops, stop, 64);
AT(xf_handler_ops, destroy, 72);
AT(xf_handler_ops, settled, 80);
AT(xf_handler_ops, numbers, 88);
AT(xf_handler_ops, serve, 96);

SIZE(xf_handler_class, 40);
AT(xf_handler_class, head, 0);
AT(xf_handler_class, options, 24);
AT(xf_handler_class, ops, 32);


SIZE(xf_reply, 56);
AT(xf_reply, handle, 0);
AT(xf_reply, request, 8);
AT(xf_reply, message, 16);
AT(xf_reply, message_size, 24);
AT(xf_reply, status, 28);
AT(xf_reply, delay_ms, 32);
AT(xf_reply, reserved, 36);
AT(xf_reply, reason, 40);

SIZE(xf_replied, 40);
AT(xf_replied, request, 0);
AT(xf_replied, message, 8);
AT(xf_replied, message_size, 16);
AT(xf_replied, status, 20);
AT(xf_replied, reason, 24);

SIZE(xf_settled, 24);
AT(xf_settled, token, 0);
AT(xf_settled, code, 8);
AT(xf_settled, message_size, 12);
AT(xf_settled, message, 16);

SIZE(xf_number, 32);
AT(xf_number, name, 0);
AT(xf_number, help, 8);
AT(xf_number, value, 16);
AT(xf_number, gauge, 24);
AT(xf_number, reserved, 28);

SIZE(xf_operator_request, 64);
AT(xf_operator_request, struct_size, 0);
AT(xf_operator_request, argument_count, 4);
AT(xf_operator_request, method, 8);
AT(xf_operator_request, path, 24);
AT(xf_operator_request, arguments, 40);
AT(xf_operator_request, body, 48);

SIZE(xf_operator_response, 24);
AT(xf_operator_response, struct_size, 0);
AT(xf_operator_response, status, 4);
AT(xf_operator_response, write, 8);
AT(xf_operator_response, context, 16);

int
main(void)
{
	return 0;
}
