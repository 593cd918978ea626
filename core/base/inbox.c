/*
 * A stack of chains. When it is taken, newest first, the chains are joined from the oldest on.
 *
 * No wake-up is lost: the taker stores asleep, then looks for work; a producer
 * stores work, then looks at asleep. Both pairs are sequentially consistent, so
 * one of the two sees the other.
 */
#include "base/inbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/resource.h"

enum xf_status
xf_inbox_init(struct xf_inbox *inbox, struct xf_error *error)
{
	atomic_init(&inbox->top, NULL);
	atomic_init(&inbox->asleep, false);
	atomic_init(&inbox->rung, false);
	inbox->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return inbox->bell >= 0 ? XF_OK : xf_no_descriptor(errno, error);
}

void
xf_inbox_fini(struct xf_inbox *inbox)
{
	close(inbox->bell);
	inbox->bell = -1;
}

static void
wake_sleeper(struct xf_inbox *inbox)
{
	uint64_t one = 1;

	if (atomic_load(&inbox->asleep) && atomic_exchange(&inbox->asleep, false)) {
		ssize_t n = write(inbox->bell, &one, sizeof(one));

		(void)n; /* full means rung already */
	}
}

void
xf_inbox_push(struct xf_inbox *inbox, struct xf_node *first, struct xf_node *last)
{
	struct xf_node *top = atomic_load_explicit(&inbox->top, memory_order_relaxed);

	last->next = NULL;
	first->last = last;
	do
		first->chain = top;
	while (!atomic_compare_exchange_weak(&inbox->top, &top, first));
	wake_sleeper(inbox);
}

void
xf_inbox_ring(struct xf_inbox *inbox)
{
	atomic_store(&inbox->rung, true);
	wake_sleeper(inbox);
}

struct xf_node *
xf_inbox_take(struct xf_inbox *inbox)
{
	struct xf_node *chain, *last, *later = NULL;

	if (atomic_load(&inbox->top) == NULL)
		return NULL;
	chain = atomic_exchange(&inbox->top, NULL);
	if (chain == NULL) /* another one was quicker */
		return NULL;
	last = chain->last;
	while (chain != NULL) {
		struct xf_node *earlier = chain->chain;

		chain->last->next = later;
		later = chain;
		chain = earlier;
	}
	later->last = last;
	return later;
}

bool
xf_inbox_sleep(struct xf_inbox *inbox)
{
	atomic_store(&inbox->asleep, true);
	if (atomic_load(&inbox->top) == NULL && !atomic_exchange(&inbox->rung, false))
		return true;
	xf_inbox_awake(inbox);
	return false;
}

void
xf_inbox_awake(struct xf_inbox *inbox)
{
	uint64_t count;
	ssize_t n;

	atomic_store(&inbox->asleep, false);
	atomic_exchange(&inbox->rung, false); /* reads it: what was done before a ring that this clears is seen */
	n = read(inbox->bell, &count, sizeof(count)); /* always: a bell may have been rung after the nap */
	(void)n;
}
