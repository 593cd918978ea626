#include "base/histogram.h"

#include "base/counter.h"

void
xf_histogram_record(struct xf_histogram *histogram, uint64_t microseconds, uint64_t times)
{
	unsigned bucket = microseconds <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(microseconds - 1);

	if (bucket >= XF_HISTOGRAM_BUCKETS)
		bucket = XF_HISTOGRAM_BUCKETS - 1;
	xf_count(&histogram->counts[bucket], times);
	xf_count(&histogram->sum_us, microseconds * times);
}

void
xf_histogram_read(const struct xf_histogram *histogram, struct xf_histogram_snapshot *into)
{
	into->count = 0;
	for (unsigned i = 0; i < XF_HISTOGRAM_BUCKETS; i++) {
		into->counts[i] = xf_read(&histogram->counts[i]);
		into->count += into->counts[i];
	}
	into->sum_us = xf_read(&histogram->sum_us);
}

void
xf_histogram_merge(struct xf_histogram *histogram, const struct xf_histogram_snapshot *more)
{
	for (unsigned i = 0; i < XF_HISTOGRAM_BUCKETS; i++)
		xf_count(&histogram->counts[i], more->counts[i]);
	xf_count(&histogram->sum_us, more->sum_us);
}

void
xf_histogram_add(struct xf_histogram_snapshot *sum, const struct xf_histogram_snapshot *more)
{
	for (unsigned i = 0; i < XF_HISTOGRAM_BUCKETS; i++)
		sum->counts[i] += more->counts[i];
	sum->sum_us += more->sum_us;
	sum->count += more->count;
}

uint64_t
xf_histogram_quantile(const struct xf_histogram_snapshot *snapshot, double quantile)
{
	uint64_t rank = (uint64_t)((double)snapshot->count * quantile), seen = 0;

	if (snapshot->count == 0)
		return 0;
	if (rank >= snapshot->count)
		rank = snapshot->count - 1;
	for (unsigned i = 0; i < XF_HISTOGRAM_BUCKETS; i++) {
		seen += snapshot->counts[i];
		if (seen > rank)
			return (uint64_t)1 << i;
	}
	return (uint64_t)1 << (XF_HISTOGRAM_BUCKETS - 1);
}
