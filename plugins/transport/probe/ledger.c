#include "ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define CHUNKS_KEPT 4

uint64_t
ledger_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct ledger *
ledger_create(const struct xf_host *host, uint64_t track, struct xf_error *error)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (ledger == NULL) {
		snprintf(error->text, sizeof(error->text), "no memory for the ledger");
		return NULL;
	}
	ledger->host = host;
	ledger->track = track;
	if (getrandom(&ledger->run, sizeof(ledger->run), 0) != (ssize_t)sizeof(ledger->run))
		ledger->run = ledger_now_ns();
	pthread_mutex_init(&ledger->lock, NULL);
	return ledger;
}

void
ledger_destroy(struct ledger **ledger)
{
	struct ledger *l = *ledger;

	*ledger = NULL;
	if (l == NULL)
		return;
	for (int i = 0; i < PRODUCERS_MAX; i++) {
		struct producer *p = l->producers[i];

		if (p == NULL)
			continue;
		bits_fini(&p->acked);
		bits_fini(&p->rejected);
		pthread_mutex_destroy(&p->lock);
		free(p);
	}
	for (int i = 0; i < SIDES_MAX; i++) {
		struct side *s = l->sides[i];

		for (int k = 0; s != NULL && k < PRODUCERS_MAX; k++) {
			bits_fini(&s->arrivals[k].messages);
			bits_fini(&s->arrivals[k].copies);
			free(s->arrivals[k].last);
		}
		if (s != NULL)
			pthread_mutex_destroy(&s->lock);
		free(s);
	}
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* ---- Producers and sides ------------------------------------------------------ */

static struct producer *
producer_create(uint32_t number, uint32_t keys)
{
	struct producer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->number = number;
	p->keys = keys;
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

struct producer *
ledger_take_producer(struct ledger *ledger, uint32_t number, uint32_t keys, uint64_t count, struct xf_error *error)
{
	struct producer *p;

	pthread_mutex_lock(&ledger->lock);
	p = ledger->producers[number];
	if (p == NULL) {
		p = producer_create(number, keys);
		atomic_store(&ledger->producers[number], p);
	}
	if (p == NULL) {
		snprintf(error->text, sizeof(error->text), "no memory for producer %u", number);
	} else if (p->running) {
		snprintf(error->text, sizeof(error->text), "another source is producer %u already", number);
		p = NULL;
	} else if (p->keys != keys) {
		snprintf(error->text, sizeof(error->text), "producer %u has %u keys, which cannot change", number,
		         p->keys);
		p = NULL;
	} else {
		p->running = true;
		p->count = count;
		p->ended = false;
	}
	pthread_mutex_unlock(&ledger->lock);
	return p;
}

void
ledger_give_producer(struct ledger *ledger, struct producer *producer)
{
	pthread_mutex_lock(&ledger->lock);
	producer->running = false;
	pthread_mutex_unlock(&ledger->lock);
}

struct side *
ledger_side(struct ledger *ledger, struct xf_str name)
{
	struct side *side = NULL;
	int i = 0;

	pthread_mutex_lock(&ledger->lock);
	for (; i < SIDES_MAX && (side = ledger->sides[i]) != NULL; i++)
		if (strlen(side->name) == name.len && memcmp(side->name, name.data, name.len) == 0)
			break;
	if (i < SIDES_MAX && side == NULL && (side = calloc(1, sizeof(*side))) != NULL) {
		memcpy(side->name, name.data, name.len < sizeof(side->name) - 1 ? name.len : sizeof(side->name) - 1);
		pthread_mutex_init(&side->lock, NULL);
		atomic_store(&ledger->sides[i], side);
	}
	pthread_mutex_unlock(&ledger->lock);
	return i < SIDES_MAX ? side : NULL;
}

/* ---- Counting over all sides ------------------------------------------------------- */

struct chunk_counts {
	uint64_t lost; /* acknowledged, on no side */
	uint64_t both; /* on more than one */
	bool complete; /* each is acknowledged and arrived, or rejected */
};

static void
sides_lock(struct ledger *ledger)
{
	for (int i = 0; i < SIDES_MAX && ledger->sides[i] != NULL; i++)
		pthread_mutex_lock(&((struct side *)ledger->sides[i])->lock);
}

static void
sides_unlock(struct ledger *ledger)
{
	for (int i = 0; i < SIDES_MAX && ledger->sides[i] != NULL; i++)
		pthread_mutex_unlock(&((struct side *)ledger->sides[i])->lock);
}

static struct chunk_counts
chunk_count(struct ledger *ledger, int sides, const struct producer *p, uint64_t number)
{
	const uint64_t *acked = bits_chunk(&p->acked, number), *rejected = bits_chunk(&p->rejected, number);
	const uint64_t *arrived[SIDES_MAX];
	struct chunk_counts counts = {0, 0, true};

	for (int i = 0; i < sides; i++)
		arrived[i] = bits_chunk(&((struct side *)ledger->sides[i])->arrivals[p->number].messages, number);
	for (unsigned w = 0; w < BITS_WORDS; w++) {
		uint64_t a = acked != NULL ? acked[w] : 0, r = rejected != NULL ? rejected[w] : 0;
		uint64_t any = 0, both = 0;

		for (int i = 0; i < sides; i++) {
			both |= arrived[i] != NULL ? any & arrived[i][w] : 0;
			any |= arrived[i] != NULL ? arrived[i][w] : 0;
		}
		counts.lost += (uint64_t)__builtin_popcountll(a & ~any);
		counts.both += (uint64_t)__builtin_popcountll(both);
		counts.complete &= ((a & any) | r) == UINT64_MAX;
	}
	return counts;
}

static int
sides_count(struct ledger *ledger)
{
	int sides = 0;

	while (sides < SIDES_MAX && ledger->sides[sides] != NULL)
		sides++;
	return sides;
}

void
ledger_forget(struct ledger *ledger, struct producer *p)
{
	uint64_t newest = atomic_load_explicit(&p->sent, memory_order_relaxed) / BITS_CHUNK;
	struct chunk_counts counts;
	int sides;

	if (newest < p->forgotten + CHUNKS_KEPT)
		return;
	pthread_mutex_lock(&ledger->lock); /* so that no side comes meanwhile */
	pthread_mutex_lock(&p->lock);
	sides = sides_count(ledger);
	sides_lock(ledger);
	while (newest >= p->forgotten + CHUNKS_KEPT) {
		counts = chunk_count(ledger, sides, p, p->forgotten);
		if (!counts.complete && (newest - p->forgotten) * BITS_CHUNK < ledger->track)
			break;
		p->forgotten_lost += counts.lost;
		p->forgotten_both += counts.both;
		p->forgotten++;
		bits_drop(&p->acked, p->forgotten);
		bits_drop(&p->rejected, p->forgotten);
		for (int i = 0; i < sides; i++) {
			bits_drop(&((struct side *)ledger->sides[i])->arrivals[p->number].messages, p->forgotten);
			bits_drop(&((struct side *)ledger->sides[i])->arrivals[p->number].copies, p->forgotten);
		}
	}
	sides_unlock(ledger);
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_unlock(&ledger->lock);
}

/* ---- Report ------------------------------------------------------------------------ */

struct report {
	char *out;
	uint32_t size;
	uint32_t len;
};

static void __attribute__((format(printf, 2, 3)))
report_printf(struct report *report, const char *format, ...)
{
	va_list args;
	int n;

	if (report->len >= report->size)
		return;
	va_start(args, format);
	n = vsnprintf(report->out + report->len, report->size - report->len, format, args);
	va_end(args);
	report->len += n > 0 ? (uint32_t)n : 0;
}

unsigned
latency_bucket(uint64_t us)
{
	unsigned e;

	if (us < 2 * LATENCY_STEPS)
		return (unsigned)us;
	e = 63 - (unsigned)__builtin_clzll(us) - LATENCY_BITS;
	return e * LATENCY_STEPS + (unsigned)(us >> e);
}

/* The upper end, in microseconds, of a bucket. */
static uint64_t
latency_bound(unsigned i)
{
	if (i < 2 * LATENCY_STEPS)
		return i;
	return ((uint64_t)(LATENCY_STEPS + i % LATENCY_STEPS + 1) << (i / LATENCY_STEPS - 1)) - 1;
}

static uint64_t
latency_quantile(const uint64_t *buckets, double quantile, uint64_t max)
{
	uint64_t count = 0, seen = 0, bound;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		count += buckets[i];
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		seen += buckets[i];
		bound = latency_bound(i);
		if (seen > 0 && (double)seen >= quantile * (double)count)
			return bound < max ? bound : max;
	}
	return 0;
}

static void
report_latency(struct report *report, const struct side *side)
{
	const uint64_t *buckets = side->latency;
	uint64_t max = side->latency_max, count = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		count += buckets[i];
	report_printf(report,
	              "\"latency_us\":{\"count\":%llu,\"mean\":%llu,\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,"
	              "\"p999\":%llu,\"max\":%llu}",
	              (unsigned long long)count, (unsigned long long)(count > 0 ? side->latency_sum / count : 0),
	              (unsigned long long)latency_quantile(buckets, 0.5, max),
	              (unsigned long long)latency_quantile(buckets, 0.9, max),
	              (unsigned long long)latency_quantile(buckets, 0.99, max),
	              (unsigned long long)latency_quantile(buckets, 0.999, max), (unsigned long long)max);
}

/* Sums over producers. */
struct sent_sums {
	uint64_t sent, acked, rejected, retried, lost, both, forgotten, rate;
	uint64_t first_ns; /* of all; UINT64_MAX: nothing was sent */
	bool finished;
};

static struct sent_sums
producers_sum_locked(struct ledger *ledger, int sides)
{
	struct sent_sums sums = {.finished = true, .first_ns = UINT64_MAX};
	int producers = 0;

	for (int i = 0; i < PRODUCERS_MAX; i++) {
		struct producer *p = ledger->producers[i];
		uint64_t sent, first_ns;

		if (p == NULL)
			continue;
		producers++;
		sent = atomic_load(&p->sent);
		first_ns = atomic_load(&p->first_ns);
		sums.first_ns = first_ns > 0 && first_ns < sums.first_ns ? first_ns : sums.first_ns;
		sums.sent += sent;
		sums.acked += p->acked_count;
		sums.rejected += p->rejected_count;
		sums.retried += p->retried_count;
		sums.rate += atomic_load(&p->rate);
		sums.forgotten += p->forgotten * BITS_CHUNK;
		sums.lost += p->forgotten_lost;
		sums.both += p->forgotten_both;
		sums.finished &= (p->ended || (p->count > 0 && sent >= p->count)) &&
		                 p->acked_count + p->rejected_count >= sent;
		for (uint64_t c = p->forgotten; c <= sent / BITS_CHUNK; c++) {
			struct chunk_counts counts = chunk_count(ledger, sides, p, c);

			sums.lost += counts.lost;
			sums.both += counts.both;
		}
	}
	sums.finished &= producers > 0;
	return sums;
}

static void
report_side_locked(struct report *report, const struct side *s)
{
	report_printf(report,
	              "\"%s\":{\"received\":%llu,\"copies\":%llu,\"duplicates\":%llu,\"copy_duplicates\":%llu,"
	              "\"reordered\":%llu,\"reordered_across\":%llu,\"corrupted\":%llu,\"unexpected\":%llu,\"renamed\":%llu,",
	              s->name, (unsigned long long)s->received, (unsigned long long)s->copies,
	              (unsigned long long)s->duplicates, (unsigned long long)s->copy_duplicates,
	              (unsigned long long)s->reordered, (unsigned long long)s->reordered_across,
	              (unsigned long long)s->corrupted, (unsigned long long)s->unexpected, (unsigned long long)s->renamed);
	report_latency(report, s);
	report_printf(report, "}");
}

static void
report_locked(struct ledger *ledger, int sides, struct report *report)
{
	struct sent_sums sent = producers_sum_locked(ledger, sides);
	struct side sum = {.name = ""};

	for (int i = 0; i < sides; i++) {
		const struct side *s = ledger->sides[i];

		sum.received += s->received;
		sum.copies += s->copies;
		sum.duplicates += s->duplicates;
		if (s->duplicate_distance > sum.duplicate_distance)
			sum.duplicate_distance = s->duplicate_distance;
		sum.reordered += s->reordered;
		sum.reordered_across += s->reordered_across;
		sum.corrupted += s->corrupted;
		sum.unexpected += s->unexpected;
		sum.renamed += s->renamed;
		for (unsigned b = 0; b < LATENCY_BUCKETS; b++)
			sum.latency[b] += s->latency[b];
		sum.latency_max = s->latency_max > sum.latency_max ? s->latency_max : sum.latency_max;
		sum.latency_sum += s->latency_sum;
		sum.last_ns = s->last_ns > sum.last_ns ? s->last_ns : sum.last_ns;
	}
	report_printf(report,
	              "{\"sent\":%llu,\"acked\":%llu,\"rejected\":%llu,\"unresolved\":%llu,\"retried\":%llu,"
	              "\"finished\":%s,\"rate\":%llu,"
	              "\"received\":%llu,\"copies\":%llu,\"lost\":%llu,\"reordered\":%llu,\"reordered_across\":%llu,"
	              "\"duplicates\":%llu,\"duplicate_distance\":%llu,\"on_both_sides\":%llu,\"corrupted\":%llu,"
	              "\"unexpected\":%llu,\"renamed\":%llu,\"forgotten\":%llu,\"span_ms\":%llu,",
	              (unsigned long long)sent.sent, (unsigned long long)sent.acked, (unsigned long long)sent.rejected,
	              (unsigned long long)(sent.sent - sent.acked - sent.rejected), (unsigned long long)sent.retried,
	              sent.finished ? "true" : "false", (unsigned long long)sent.rate,
	              (unsigned long long)sum.received, (unsigned long long)sum.copies, (unsigned long long)sent.lost,
	              (unsigned long long)sum.reordered, (unsigned long long)sum.reordered_across,
	              (unsigned long long)sum.duplicates, (unsigned long long)sum.duplicate_distance, (unsigned long long)sent.both,
	              (unsigned long long)sum.corrupted, (unsigned long long)sum.unexpected,
	              (unsigned long long)sum.renamed, (unsigned long long)sent.forgotten,
	              (unsigned long long)(sum.last_ns > sent.first_ns ? (sum.last_ns - sent.first_ns) / 1000000 : 0));
	report_latency(report, &sum);
	report_printf(report, ",\"sides\":{");
	for (int i = 0; i < sides; i++) {
		report_printf(report, "%s", i > 0 ? "," : "");
		report_side_locked(report, ledger->sides[i]);
	}
	report_printf(report, "}}");
}

uint32_t
ledger_report(struct ledger *ledger, char *out, uint32_t size)
{
	struct report report = {out, size, 0};
	int sides;

	pthread_mutex_lock(&ledger->lock);
	/* the producers first: what is acknowledged then has arrived by the time the sides are looked at */
	for (int i = 0; i < PRODUCERS_MAX; i++)
		if (ledger->producers[i] != NULL)
			pthread_mutex_lock(&((struct producer *)ledger->producers[i])->lock);
	sides = sides_count(ledger);
	sides_lock(ledger);
	report_locked(ledger, sides, &report);
	sides_unlock(ledger);
	for (int i = 0; i < PRODUCERS_MAX; i++)
		if (ledger->producers[i] != NULL)
			pthread_mutex_unlock(&((struct producer *)ledger->producers[i])->lock);
	pthread_mutex_unlock(&ledger->lock);
	return report.len < report.size ? report.len : 0;
}
