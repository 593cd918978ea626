/*
 * What the transport tells about itself, as JSON.
 */
#include <stdarg.h>
#include <stdio.h>

#include "broker.h"
#include "keeper.h"

/* Text that knows its bound; what does not fit is missing and seen by its length. */
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

static void
report_text(struct report *report, const char *text)
{
	report_printf(report, "\"");
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			report_printf(report, "\\%c", c);
		else if (c < ' ')
			report_printf(report, "\\u%04x", c);
		else
			report_printf(report, "%c", c);
	}
	report_printf(report, "\"");
}

static void
report_queue_locked(struct report *report, const struct queue *queue)
{
	report_printf(report, "{\"group\":");
	report_text(report, queue->group);
	report_printf(report, ",\"pattern\":");
	report_text(report, queue->pattern.data);
	report_printf(report, ",\"sources\":%u,\"pending\":%llu,\"unacked\":%llu}", queue->member_count,
	              (unsigned long long)queue_pending(queue), (unsigned long long)queue->unsettled);
}

static void
report_queues_locked(struct report *report, const struct broker *broker)
{
	struct report before;
	bool first = true;

	for (const struct queue *queue = broker->queues; queue != NULL; queue = queue->next) {
		before = *report;
		report_printf(report, "%s", first ? "" : ",");
		report_queue_locked(report, queue);
		if (report->len + 8 >= report->size) {
			*report = before; /* no room for this one and an end */
			return;
		}
		first = false;
	}
}

uint32_t
broker_report(struct broker *broker, char *out, uint32_t size)
{
	struct report report = {out, size, 0};

	pthread_mutex_lock(&broker->lock);
	report_printf(&report,
	              "{\"messages\":%llu,\"max_messages\":%llu,\"bytes\":%llu,\"max_bytes\":%llu,\"published\":%llu,"
	              "\"delivered\":%llu,\"settled\":%llu,\"retried\":%llu,\"rejected\":%llu,\"overdue\":%llu,"
	              "\"expired\":%llu,\"duplicates\":%llu,\"no_receiver\":%llu,",
	              (unsigned long long)broker->messages, (unsigned long long)broker->settings.messages_max,
	              (unsigned long long)broker->store.bytes, (unsigned long long)broker->store.bytes_max,
	              (unsigned long long)broker->published, (unsigned long long)broker->delivered,
	              (unsigned long long)broker->settled, (unsigned long long)broker->retried,
	              (unsigned long long)broker->rejected, (unsigned long long)broker->overdue,
	              (unsigned long long)broker->expired, (unsigned long long)broker->duplicates,
	              (unsigned long long)broker->no_receiver);
	if (broker->keeper != NULL) {
		struct keeper_counts counts = keeper_counts_locked(broker->keeper);

		report_printf(&report, "\"recovered\":%llu,\"damaged\":%llu,\"commits\":%llu,",
		              (unsigned long long)counts.recovered, (unsigned long long)counts.damaged,
		              (unsigned long long)counts.commits);
	}
	report_printf(&report, "\"subscription_count\":%zu,\"subscriptions\":[", subjects_count(broker->index));
	report_queues_locked(&report, broker);
	report_printf(&report, "]}");
	pthread_mutex_unlock(&broker->lock);
	return report.len < report.size ? report.len : 0;
}
