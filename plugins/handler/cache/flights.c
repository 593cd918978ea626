#include "flights.h"

#include <stdlib.h>

static struct xf_str
token_key(const uint64_t *token)
{
	return (struct xf_str){(const char *)token, sizeof(*token)};
}

struct flight *
flight_find(const struct flights *flights, struct xf_str key)
{
	return (struct flight *)recent_find(&flights->keys, key);
}

struct flight *
flight_begin(struct flights *flights, struct xf_str key, const struct xf_task *task, uint64_t ttl_ms, bool joined)
{
	struct flight *flight = need(calloc(1, sizeof(*flight)));

	flight->key = str_copy(key);
	flight->ttl_ms = ttl_ms;
	flight->listed = joined;
	flight->older = flights->newest;
	if (flights->newest != NULL)
		flights->newest->newer = flight;
	flights->newest = flight;
	if (joined)
		recent_add(&flights->keys, &flight->entry, key);
	flight_join(flights, flight, task);
	return flight;
}

void
flight_join(struct flights *flights, struct flight *flight, const struct xf_task *task)
{
	struct guest *guest = need(calloc(1, sizeof(*guest)));

	guest->token = task->token;
	guest->message = task->message;
	guest->flight = flight;
	guest->before = flight->last;
	if (flight->last != NULL)
		flight->last->next = guest;
	else
		flight->first = guest;
	flight->last = guest;
	recent_add(&flights->guests, &guest->entry, token_key(&guest->token));
}

static void
asked_forget(struct flight *flight)
{
	struct xf_incoming *asked = &flight->asked;

	for (uint32_t i = 0; i < asked->header_count; i++) {
		free((char *)asked->headers[i].name.data);
		free((char *)asked->headers[i].value.data);
	}
	free((void *)asked->headers);
	free((char *)asked->subject.data);
	*asked = (struct xf_incoming){.handle = 0};
}

void
flight_work(struct flight *flight)
{
	const struct xf_incoming *message = flight->first->message;
	struct xf_header *headers = need(calloc(message->header_count + 1u, sizeof(*headers)));

	asked_forget(flight);
	for (uint32_t i = 0; i < message->header_count; i++)
		headers[i] = (struct xf_header){str_copy(message->headers[i].name), str_copy(message->headers[i].value)};
	flight->asked.headers = headers;
	flight->asked.header_count = message->header_count;
	flight->asked.subject = str_copy(message->subject);
	flight->first->message = NULL;
	flight->working = true;
}

struct guest *
guest_find(const struct flights *flights, uint64_t token)
{
	return (struct guest *)recent_find(&flights->guests, token_key(&token));
}

void
guest_leave(struct flights *flights, struct guest **pointer)
{
	struct guest *guest = *pointer;
	struct flight *flight = guest->flight;

	*pointer = NULL;
	if (guest->before != NULL)
		guest->before->next = guest->next;
	else
		flight->first = guest->next;
	if (guest->next != NULL)
		guest->next->before = guest->before;
	else
		flight->last = guest->before;
	recent_remove(&flights->guests, &guest->entry);
	free(guest);
}

void
flight_end(struct flights *flights, struct flight **pointer)
{
	struct flight *flight = *pointer;

	*pointer = NULL;
	if (flight->newer != NULL)
		flight->newer->older = flight->older;
	else
		flights->newest = flight->older;
	if (flight->older != NULL)
		flight->older->newer = flight->newer;
	if (flight->listed)
		recent_remove(&flights->keys, &flight->entry);
	asked_forget(flight);
	free((char *)flight->key.data);
	free(flight);
}

void
flights_fini(struct flights *flights)
{
	while (flights->newest != NULL) {
		struct flight *flight = flights->newest;

		while (flight->first != NULL) {
			struct guest *guest = flight->first;

			guest_leave(flights, &guest);
		}
		flight_end(flights, &flight);
	}
	recent_fini(&flights->guests);
	recent_fini(&flights->keys);
}
