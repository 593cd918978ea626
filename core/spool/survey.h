/*
 * survey.h - whether a spool holds all that it must hold, and how much that is.
 *
 * Each number from the mark's low to its high must be a record with the right checksum or lie in a hole; SQLite must find no fault
 * in the file. Records behind high are fine: they were written, and not called durable.
 *
 * Threads: one. Reads the whole file, once for the checksums and once for SQLite; writes nothing.
 */
#ifndef XF_SPOOL_SURVEY_H
#define XF_SPOOL_SURVEY_H

#include "spool/mark.h"
#include "spool/records.h"

/* What a record takes beside its bytes; counted, so that a million empty messages have a bound too. */
#define XF_SPOOL_RECORD_COST 64

struct xf_survey {
	bool damaged;
	char damage[256]; /* what was seen first */
	uint64_t messages;
	uint64_t bytes; /* with the cost of each record */
	uint64_t low;   /* the first record; where there is none, the next number */
	uint64_t next;
	uint64_t oldest_ms; /* time of the first record */
};

/* Each record counts in LANES, at its lane modulo LANE_COUNT. Fails where the file cannot be looked at: that is no damage. */
enum xf_status xf_survey(struct xf_records *records, const struct xf_disk *disk, const struct xf_mark *mark,
                         _Atomic uint32_t *lanes, uint32_t lane_count, struct xf_survey *survey,
                         struct xf_error *error);

/* Whether what the connection's last call met is damage, rather than a lack of space, memory or permission. */
bool xf_survey_is_damage(struct xf_records *records);

#endif
