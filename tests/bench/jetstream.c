#include "jetstream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bridge.h"

#define RING_EVERY 256

void
jetstream_need(natsStatus status, const char *what)
{
	if (status != NATS_OK)
		bridge_fail(what, natsStatus_GetText(status));
}

/* [library] */
static void
confirm(jsCtx *js, natsMsg *message, jsPubAck *ack, jsPubAckErr *error, void *context)
{
	struct jetstream *jetstream = context;
	uint64_t confirmed = atomic_load_explicit(&jetstream->confirmed, memory_order_relaxed) + 1, one = 1;

	(void)js;
	(void)ack;
	if (error != NULL)
		bridge_fail("publish", error->ErrText);
	natsMsg_Destroy(message);
	atomic_store(&jetstream->confirmed, confirmed);
	if (jetstream->progress != NULL)
		atomic_store_explicit(jetstream->progress, confirmed, memory_order_relaxed);
	if (confirmed % RING_EVERY == 0 || confirmed == atomic_load(&jetstream->wanted))
		if (write(jetstream->bell, &one, sizeof(one)) != (ssize_t)sizeof(one))
			bridge_fail("bell", "write failed");
}

static _Atomic uint64_t *
progress_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *map = fd >= 0 ? mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (map == MAP_FAILED)
		bridge_fail(path, "cannot be mapped");
	close(fd);
	return map;
}

natsConnection *
jetstream_connect(const char *url, bool at_once)
{
	natsConnection *connection;
	natsOptions *options;

	jetstream_need(natsOptions_Create(&options), "options");
	jetstream_need(natsOptions_SetURL(options, url), url);
	jetstream_need(natsOptions_SetSendAsap(options, at_once), "options");
	jetstream_need(natsConnection_Connect(&connection, options), "connect");
	natsOptions_Destroy(options);
	return connection;
}

void
jetstream_open(struct jetstream *jetstream, natsConnection *connection, const char *stream, const char *subject,
               const char *progress)
{
	jsStreamConfig config;
	jsErrCode code = 0;
	jsOptions options;

	*jetstream = (struct jetstream){
		.connection = connection,
		.subject = subject,
		.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	if (progress != NULL)
		jetstream->progress = progress_map(progress);
	jsOptions_Init(&options);
	options.PublishAsync.MaxPending = BRIDGE_WINDOW;
	options.PublishAsync.StallWait = 60000;
	options.PublishAsync.AckHandler = confirm;
	options.PublishAsync.AckHandlerClosure = jetstream;
	jetstream_need(natsConnection_JetStream(&jetstream->js, jetstream->connection, &options), "JetStream");
	if (stream == NULL)
		return;
	jsStreamConfig_Init(&config);
	config.Name = stream;
	config.Subjects = &jetstream->subject;
	config.SubjectsLen = 1;
	config.Storage = js_FileStorage;
	jetstream_need(js_AddStream(NULL, jetstream->js, &config, NULL, &code), "stream");
}

void
jetstream_publish(struct jetstream *jetstream, const void *data, size_t size, const char *id)
{
	jsPubOptions options;

	jsPubOptions_Init(&options);
	options.MsgId = *id != '\0' ? id : NULL;
	jetstream_need(js_PublishAsync(jetstream->js, jetstream->subject, data, (int)size, &options), "publish");
	jetstream->published++;
}

uint64_t
jetstream_confirmed(const struct jetstream *jetstream)
{
	return atomic_load_explicit(&jetstream->confirmed, memory_order_acquire);
}

void
jetstream_sleep(struct jetstream *jetstream)
{
	atomic_store(&jetstream->wanted, jetstream->published);
}

void
jetstream_wake(struct jetstream *jetstream)
{
	uint64_t rings;

	if (read(jetstream->bell, &rings, sizeof(rings)) < 0)
		bridge_fail("bell", "read failed");
}

void
jetstream_finish(struct jetstream *jetstream)
{
	struct pollfd bell = {.fd = jetstream->bell, .events = POLLIN};

	for (;;) {
		jetstream_sleep(jetstream);
		if (jetstream_confirmed(jetstream) == jetstream->published)
			return;
		if (poll(&bell, 1, 60000) == 0)
			bridge_fail("last confirmations", "they do not come");
		jetstream_wake(jetstream);
	}
}

void
jetstream_close(struct jetstream *jetstream)
{
	jsCtx_Destroy(jetstream->js);
	natsConnection_Destroy(jetstream->connection);
	nats_Close();
}
