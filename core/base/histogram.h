/*
 * histogram.h - durations by powers of two, for latencies.
 *
 * One thread records; any thread reads. A snapshot may be a few records behind itself.
 */
#ifndef XF_BASE_HISTOGRAM_H
#define XF_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

/* Bucket i counts what is at most 2^i microseconds, 1 us to about 67 s, the last one all the rest. */
#define XF_HISTOGRAM_BUCKETS 28

struct xf_histogram {
	_Atomic uint64_t counts[XF_HISTOGRAM_BUCKETS];
	_Atomic uint64_t sum_us;
};

struct xf_histogram_snapshot {
	uint64_t counts[XF_HISTOGRAM_BUCKETS];
	uint64_t sum_us;
	uint64_t count;
};

void xf_histogram_record(struct xf_histogram *histogram, uint64_t microseconds, uint64_t times);
void xf_histogram_read(const struct xf_histogram *histogram, struct xf_histogram_snapshot *into);
/* The recording thread adds what another has recorded. */
void xf_histogram_merge(struct xf_histogram *histogram, const struct xf_histogram_snapshot *more);
void xf_histogram_add(struct xf_histogram_snapshot *sum, const struct xf_histogram_snapshot *more);

/* The upper bound, in microseconds, of the bucket where QUANTILE (0 to 1) lies; 0 where nothing was recorded. */
uint64_t xf_histogram_quantile(const struct xf_histogram_snapshot *snapshot, double quantile);

#endif
