/*
 * How a plugin gets in. A name becomes a file (folders.h), the file and the folders above it are
 * looked at before a byte of it runs (path_check, elf_check), then it is opened, its one symbol called, and the
 * handshake made (entry_check). What the file describes is never used in place: every growable
 * structure is copied into one of our own size, zeroed first, so a plugin built against an older or a
 * newer minor looks the same to all others (the seal functions). The sealed description is checked last.
 *
 * A name that was found in one folder and refused is not looked for in the next: a broken plugin must not be
 * replaced silently by another of its name.
 *
 * Whom the checks trust: root, our own user, and whoever owns this program's file or a folder above it,
 * because they could as well replace the program.
 *
 * Threads: one at a time loads configurations; what was sealed never changes, and the list of it only grows at its end, so any
 * thread may look at what is loaded.
 */
#include "host/catalogue.h"

#include <ctype.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "host/folders.h"
#include "host/host.h"

#define PLUGINS_MAX 256
#define ENTRY_SYMBOL "xf_plugin_entry_v"
#define STRUCT_SIZE_MAX 65536u
#define FILE_SIZE_MAX (256ll << 20)
#define ROWS_MAX 1000u
#define CLASSES_MAX 256u
#define MAP_DEPTH_MAX 8u
#define TRUSTED_MAX 16u

/* The size of a structure up to and with its member LAST. */
#define SIZE_UP_TO(type, last) (offsetof(type, last) + sizeof(((type *)NULL)->last))

/* One file, opened. */
struct module {
	struct module *next;
	char *file;
	dev_t device;
	ino_t inode;
	void *handle;
	struct xf_entry entry;
};

/* One class of it, sealed. */
struct plugin {
	struct plugin *next;
	struct module *module;
	const struct xf_class *theirs; /* what it was made from */
	struct xf_class head; /* of the one below that it is */
	struct xf_transport_class transport;
	struct xf_source_ops source;
	struct xf_sink_ops sink;
	struct xf_handler_class handler;
	struct xf_handler_ops handler_ops;
};

/* One that no file holds. */
struct builtin {
	struct builtin *next;
	const struct xf_transport_class *class;
};

struct block {
	struct block *next;
	max_align_t data[];
};

struct xf_catalogue {
	char **dirs; /* as configured */
	size_t dir_count;
	struct module *modules;
	struct plugin *plugins;
	struct builtin *builtins;
	struct block *blocks; /* the memory of sealed tables */
	struct xf_plugin_info infos[PLUGINS_MAX];
	_Atomic size_t info_count;
	uid_t trusted[TRUSTED_MAX];
	size_t trusted_count;
};

/* ---- Who may have written it -------------------------------------------------- */

static bool
owner_trusted(const struct xf_catalogue *catalogue, uid_t owner)
{
	for (size_t i = 0; i < catalogue->trusted_count; i++)
		if (catalogue->trusted[i] == owner)
			return true;
	return false;
}

static void
owner_trust(struct xf_catalogue *catalogue, uid_t owner)
{
	if (!owner_trusted(catalogue, owner) && catalogue->trusted_count < TRUSTED_MAX)
		catalogue->trusted[catalogue->trusted_count++] = owner;
}

/* Calls VISIT with every folder above PATH, "/" first; PATH is absolute. */
static enum xf_status
folders_visit(const char *path, enum xf_status (*visit)(void *context, const char *folder, struct xf_error *error),
              void *context, struct xf_error *error)
{
	char folder[PATH_MAX];
	enum xf_status status = visit(context, "/", error);

	for (const char *slash = strchr(path + 1, '/'); status == XF_OK && slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - path);

		if (len >= sizeof(folder))
			return xf_error_set(error, "the path is too long");
		memcpy(folder, path, len);
		folder[len] = '\0';
		status = visit(context, folder, error);
	}
	return status;
}

static enum xf_status
folder_trust(void *context, const char *folder, struct xf_error *error)
{
	struct stat stat_;

	(void)error;
	if (stat(folder, &stat_) == 0)
		owner_trust(context, stat_.st_uid);
	return XF_OK;
}

static enum xf_status
owner_check(const struct xf_catalogue *catalogue, const char *what, const char *path, uid_t owner,
            struct xf_error *error)
{
	if (owner_trusted(catalogue, owner))
		return XF_OK;
	return xf_error_set(error,
	                    "%s%s belongs to user id %lu; expected root or user id %lu, who runs this; chown it",
	                    what, path, (unsigned long)owner, (unsigned long)geteuid());
}

static enum xf_status
folder_check(void *context, const char *folder, struct xf_error *error)
{
	const struct xf_catalogue *catalogue = context;
	struct stat link, stat_;

	if (lstat(folder, &link) != 0 || stat(folder, &stat_) != 0)
		return xf_error_set(error, "folder %s: %s", folder, strerror(errno));
	if (owner_check(catalogue, "folder ", folder, link.st_uid, error) != XF_OK ||
	    owner_check(catalogue, "folder ", folder, stat_.st_uid, error) != XF_OK)
		return XF_FAILED;
	if ((stat_.st_mode & S_IWOTH) != 0 && !((stat_.st_mode & S_ISVTX) != 0 && stat_.st_uid == 0))
		return xf_error_set(error,
		                    "folder %s is writable by everybody (mode %04o), so anybody could put "
		                    "another plugin there; chmod o-w %s",
		                    folder, (unsigned)(stat_.st_mode & 07777), folder);
	return XF_OK;
}

/* Opens the file without following a link, and looks at it and at every folder on the way, by the path
 * as it was given and as it is after links. The descriptor, or -1; REAL has room for PATH_MAX. */
static int
file_open(struct xf_catalogue *catalogue, const char *path, char *real, struct stat *stat_, struct xf_error *error)
{
	char *absolute;
	enum xf_status status;
	int file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (file < 0) {
		if (errno == ELOOP)
			xf_error_set(error, "is a symbolic link; expected the file itself: name what it points to");
		else
			xf_error_set(error, "%s", strerror(errno));
		return -1;
	}
	if (fstat(file, stat_) != 0 || realpath(path, real) == NULL) {
		xf_error_set(error, "%s", strerror(errno));
		goto close_file;
	}
	if (!S_ISREG(stat_->st_mode)) {
		xf_error_set(error, "is %s; expected a file",
		             S_ISDIR(stat_->st_mode) ? "a folder" : "no regular file");
		goto close_file;
	}
	if (owner_check(catalogue, "the file", "", stat_->st_uid, error) != XF_OK)
		goto close_file;
	if ((stat_->st_mode & S_IWOTH) != 0) {
		xf_error_set(error, "is writable by everybody (mode %04o); chmod o-w %s",
		             (unsigned)(stat_->st_mode & 07777), path);
		goto close_file;
	}
	if (path[0] == '/') {
		absolute = xf_strdup(path);
	} else {
		char *here = getcwd(NULL, 0);

		absolute = xf_format("%s/%s", here != NULL ? here : "", path);
		free(here);
	}
	status = folders_visit(absolute, folder_check, catalogue, error);
	free(absolute);
	if (status == XF_OK)
		status = folders_visit(real, folder_check, catalogue, error);
	if (status == XF_OK)
		return file;

close_file:
	close(file);
	return -1;
}

/* ---- What it is, before it runs ------------------------------------------------- */

/* The sanitizers that this program is built with, XF_BUILD_*. */
static uint32_t
build_flags(void)
{
	uint32_t flags = XF_BUILD_FLAGS;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
	flags |= XF_BUILD_ASAN;
#endif
#if __has_feature(thread_sanitizer)
	flags |= XF_BUILD_TSAN;
#endif
#endif
	return flags;
}

static const char *
build_flags_text(uint32_t flags)
{
	switch (flags & (XF_BUILD_ASAN | XF_BUILD_TSAN)) {
	case 0:
		return "no sanitizer";
	case XF_BUILD_ASAN:
		return "the address sanitizer";
	case XF_BUILD_TSAN:
		return "the thread sanitizer";
	default:
		return "two sanitizers";
	}
}

static enum xf_status
sanitizers_check(uint32_t theirs, struct xf_error *error)
{
	if ((theirs & ~build_flags() & (XF_BUILD_ASAN | XF_BUILD_TSAN)) == 0)
		return XF_OK;
	return xf_error_set(error, "was built with %s, this crossfade with %s; build both alike",
	                    build_flags_text(theirs), build_flags_text(build_flags()));
}

/* Our own ELF header, to compare with. */
static bool
elf_own(Elf64_Ehdr *header)
{
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	bool done = self >= 0 && pread(self, header, sizeof(*header), 0) == (ssize_t)sizeof(*header);

	if (self >= 0)
		close(self);
	return done;
}

/* A file that is no shared object of this machine gets a plain answer here, and one with a
 * sanitizer that is not ours never runs: its start-up code would end the process. */
static enum xf_status
elf_check(int file, const struct stat *stat_, struct xf_error *error)
{
	Elf64_Ehdr own, theirs;
	enum xf_status status = XF_OK;
	uint32_t sanitizers = 0;
	void *bytes;
	size_t size;

	if (stat_->st_size < (off_t)sizeof(theirs) || pread(file, &theirs, sizeof(theirs), 0) != sizeof(theirs) ||
	    memcmp(theirs.e_ident, ELFMAG, SELFMAG) != 0)
		return xf_error_set(error, "is no shared object (it does not begin with an ELF header); "
		                           "expected a compiled plugin");
	if (stat_->st_size > FILE_SIZE_MAX)
		return xf_error_set(error, "has %lld bytes; expected at most %lld", (long long)stat_->st_size,
		                    FILE_SIZE_MAX);
	/* e_ident, e_type and e_machine stand at the same place in both ELF classes. */
	if (elf_own(&own) &&
	    (own.e_ident[EI_CLASS] != theirs.e_ident[EI_CLASS] || own.e_ident[EI_DATA] != theirs.e_ident[EI_DATA] ||
	     own.e_machine != theirs.e_machine))
		return xf_error_set(error,
		                    "was built for another machine (ELF class %u, machine %u); expected class %u, "
		                    "machine %u: build it for this one",
		                    theirs.e_ident[EI_CLASS], theirs.e_machine, own.e_ident[EI_CLASS], own.e_machine);
	if (theirs.e_type != ET_DYN)
		return xf_error_set(error, "is an ELF file but no shared object (type %u); link it with -shared",
		                    theirs.e_type);

	size = (size_t)stat_->st_size;
	bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
	if (bytes == MAP_FAILED)
		return xf_error_set(error, "cannot be read: %s", strerror(errno));
	if (memmem(bytes, size, "__asan_init", 12) != NULL)
		sanitizers |= XF_BUILD_ASAN;
	if (memmem(bytes, size, "__tsan_init", 12) != NULL)
		sanitizers |= XF_BUILD_TSAN;
	status = sanitizers_check(sanitizers, error);
	munmap(bytes, size);
	return status;
}

/* ---- The handshake ------------------------------------------------------------------ */

static enum xf_status
size_check(const char *what, uint32_t theirs, size_t least, struct xf_error *error)
{
	if (theirs >= least && theirs <= STRUCT_SIZE_MAX)
		return XF_OK;
	return xf_error_set(error,
	                    "%s says that it has %lu bytes; expected %zu to %u: set struct_size to sizeof, and "
	                    "rebuild it",
	                    what, (unsigned long)theirs, least, STRUCT_SIZE_MAX);
}

/* Copies the part that both know of a structure that begins with its size; the rest is zero. */
static void
size_copy(void *to, size_t size, const void *from, uint32_t theirs)
{
	memset(to, 0, size);
	memcpy(to, from, theirs < size ? theirs : size);
}

static enum xf_status
entry_check(const struct xf_entry *theirs, struct xf_entry *entry, struct xf_error *error)
{
	const uint64_t caps_known = 0;

	if (theirs == NULL)
		return xf_error_set(error, "its " ENTRY_SYMBOL "1() returned no description");
	if (theirs->magic != XF_ENTRY_MAGIC)
		return xf_error_set(error, "its description begins with %08lx; expected %08x: fill it with XF_ENTRY_HEAD",
		                    (unsigned long)theirs->magic, XF_ENTRY_MAGIC);
	if (theirs->abi_major != XF_ABI_MAJOR)
		return xf_error_set(error,
		                    "was built against plugin ABI %lu.%lu, this crossfade serves %u.%u; take a build "
		                    "of it for ABI %u",
		                    (unsigned long)theirs->abi_major, (unsigned long)theirs->abi_minor, XF_ABI_MAJOR,
		                    XF_ABI_MINOR, XF_ABI_MAJOR);
	if (size_check("its description", theirs->struct_size, SIZE_UP_TO(struct xf_entry, classes), error) != XF_OK)
		return XF_FAILED;
	size_copy(entry, sizeof(*entry), theirs, theirs->struct_size);

	if (entry->pointer_size != sizeof(void *))
		return xf_error_set(error, "was built with pointers of %lu bytes; expected %zu: build it for this machine",
		                    (unsigned long)entry->pointer_size, sizeof(void *));
	if ((entry->caps_required & ~caps_known) != 0)
		return xf_error_set(error,
		                    "requires capabilities %#llx (built against plugin ABI %lu.%lu), which this "
		                    "crossfade (%u.%u) does not know; take a newer crossfade or an older plugin",
		                    (unsigned long long)(entry->caps_required & ~caps_known),
		                    (unsigned long)entry->abi_major, (unsigned long)entry->abi_minor, XF_ABI_MAJOR,
		                    XF_ABI_MINOR);
	if (sanitizers_check(entry->build_flags, error) != XF_OK)
		return XF_FAILED;
	if (entry->classes == NULL || entry->classes[0] == NULL)
		return xf_error_set(error, "describes no class; expected at least one transport or handler");
	for (size_t i = 0; entry->classes[i] != NULL; i++) {
		const struct xf_class *class = entry->classes[i];

		if (i == CLASSES_MAX)
			return xf_error_set(error, "has more than %u classes; expected a NULL after the last",
			                    CLASSES_MAX);
		if (size_check("one of its classes", class->struct_size, sizeof(*class), error) != XF_OK)
			return XF_FAILED;
		if (class->name == NULL || class->name[0] == '\0')
			return xf_error_set(error, "class number %zu has no name", i + 1);
	}
	if (entry->id == NULL)
		entry->id = "";
	if (entry->version == NULL)
		entry->version = "";
	return XF_OK;
}

/* The function, or NULL with what stands there instead. */
static const struct xf_entry *(*entry_find(void *handle, struct xf_error *error))(void)
{
	const struct xf_entry *(*entry)(void);
	void *symbol = dlsym(handle, ENTRY_SYMBOL "1");

	for (unsigned major = 0; symbol == NULL && major < 100; major++) {
		char name[sizeof(ENTRY_SYMBOL) + 8];

		snprintf(name, sizeof(name), ENTRY_SYMBOL "%u", major);
		if (dlsym(handle, name) == NULL)
			continue;
		xf_error_set(error,
		             "exports %s: it was built against plugin ABI %u, this crossfade serves %u.%u; take a "
		             "build of it for ABI %u",
		             name, major, XF_ABI_MAJOR, XF_ABI_MINOR, XF_ABI_MAJOR);
		return NULL;
	}
	if (symbol == NULL) {
		xf_error_set(error, "exports no " ENTRY_SYMBOL "1: it is no crossfade plugin, or hides the symbol");
		return NULL;
	}
	memcpy(&entry, &symbol, sizeof(entry));
	return entry;
}

/* ---- Sealing: private copies of our own size ------------------------------------------- */

static void *
catalogue_alloc(struct xf_catalogue *catalogue, size_t size)
{
	struct block *block = xf_alloc(sizeof(*block) + size);

	block->next = catalogue->blocks;
	catalogue->blocks = block;
	return block->data;
}

static const char *
table_fault(const struct xf_option *row)
{
	if (row->type < XF_OPTION_BOOL || row->type > XF_OPTION_MAP)
		return "has a type that this crossfade does not know; take a newer crossfade";
	if (row->help == NULL || row->help[0] == '\0')
		return "has no help";
	if (row->min > row->max)
		return "has a minimum above its maximum";
	if (row->type == XF_OPTION_ENUM && (row->values == NULL || row->values[0] == NULL))
		return "is an enum without words";
	if (row->type == XF_OPTION_MAP && row->fields == NULL)
		return "is a map without fields";
	if ((row->flags & XF_OPTION_REQUIRED) != 0 && row->def != NULL)
		return "is required and has a default; expected one of them";
	if (row->def == NULL || (row->flags & XF_OPTION_LIST) != 0)
		return NULL;
	if (row->type == XF_OPTION_MAP)
		return "is a map with a default; give its fields defaults";
	if (row->type == XF_OPTION_BOOL && strcmp(row->def, "true") != 0 && strcmp(row->def, "false") != 0)
		return "has a default that is neither true nor false";
	if (row->type == XF_OPTION_ENUM) {
		size_t i = 0;

		while (row->values[i] != NULL && strcmp(row->values[i], row->def) != 0)
			i++;
		if (row->values[i] == NULL)
			return "has a default that is none of its words";
	}
	return NULL;
}

/* A dash for names that are somebody else's, such as a broker's arguments. */
static bool
key_valid(const char *key)
{
	if (key == NULL || !islower((unsigned char)key[0]))
		return false;
	for (; *key != '\0'; key++)
		if (!islower((unsigned char)*key) && !isdigit((unsigned char)*key) && *key != '_' && *key != '-')
			return false;
	return true;
}

/* The table THEIRS, or NULL where that is NULL, as *SEALED. WHAT names it to a person. */
static enum xf_status
table_seal(struct xf_catalogue *catalogue, const struct xf_option *const *theirs, const char *what, unsigned depth,
           const struct xf_option *const **sealed, struct xf_error *error)
{
	const struct xf_option **rows;
	size_t count = 0;

	*sealed = NULL;
	if (theirs == NULL)
		return XF_OK;
	if (depth == MAP_DEPTH_MAX)
		return xf_error_set(error, "%s: maps stand more than %u deep in each other", what, MAP_DEPTH_MAX);
	while (theirs[count] != NULL)
		if (++count > ROWS_MAX)
			return xf_error_set(error, "%s: more than %u rows; expected a NULL after the last", what,
			                    ROWS_MAX);
	rows = catalogue_alloc(catalogue, (count + 1) * sizeof(*rows));
	for (size_t i = 0; i < count; i++) {
		struct xf_option *row = catalogue_alloc(catalogue, sizeof(*row));
		const struct xf_option *const *fields;
		const char *fault;

		if (size_check("a row", theirs[i]->struct_size, SIZE_UP_TO(struct xf_option, help), error) != XF_OK) {
			xf_error_prefix(error, "%s", what);
			return XF_FAILED;
		}
		size_copy(row, sizeof(*row), theirs[i], theirs[i]->struct_size);
		row->struct_size = sizeof(*row);
		if (!key_valid(row->key))
			return xf_error_set(error,
			                    "%s: row %zu has the key '%.64s'; expected lower-case letters, digits, _ and -",
			                    what, i + 1, row->key != NULL ? row->key : "");
		for (size_t j = 0; j < i; j++)
			if (strcmp(rows[j]->key, row->key) == 0)
				return xf_error_set(error, "%s: the key '%s' stands there twice", what, row->key);
		fault = table_fault(row);
		if (fault != NULL)
			return xf_error_set(error, "%s: '%s' %s", what, row->key, fault);
		if (table_seal(catalogue, row->fields, row->key, depth + 1, &fields, error) != XF_OK) {
			xf_error_prefix(error, "%s", what);
			return XF_FAILED;
		}
		row->fields = fields;
		rows[i] = row;
	}
	*sealed = rows;
	return XF_OK;
}

static enum xf_status
callback_check(bool present, const char *what, const char *name, struct xf_error *error)
{
	if (present)
		return XF_OK;
	return xf_error_set(error, "%s has no %s(), which is required", what, name);
}

#define REQUIRE(ops, what, callback)                                                               \
	do {                                                                                       \
		if (callback_check((ops)->callback != NULL, what, #callback, error) != XF_OK)      \
			return XF_FAILED;                                                          \
	} while (0)

static enum xf_status
source_seal(struct plugin *plugin, const struct xf_source_ops *theirs, struct xf_error *error)
{
	struct xf_source_ops *ops = &plugin->source;

	if (theirs == NULL)
		return XF_OK;
	if (size_check("its source", theirs->struct_size, SIZE_UP_TO(struct xf_source_ops, destroy), error) != XF_OK)
		return XF_FAILED;
	size_copy(ops, sizeof(*ops), theirs, theirs->struct_size);
	ops->struct_size = sizeof(*ops);
	REQUIRE(ops, "its source", traits);
	REQUIRE(ops, "its source", create);
	REQUIRE(ops, "its source", start);
	REQUIRE(ops, "its source", work);
	REQUIRE(ops, "its source", settle);
	REQUIRE(ops, "its source", stop);
	REQUIRE(ops, "its source", destroy);
	plugin->transport.source = ops;
	return XF_OK;
}

static enum xf_status
sink_seal(struct plugin *plugin, const struct xf_sink_ops *theirs, struct xf_error *error)
{
	struct xf_sink_ops *ops = &plugin->sink;

	if (theirs == NULL)
		return XF_OK;
	if (size_check("its sink", theirs->struct_size, SIZE_UP_TO(struct xf_sink_ops, destroy), error) != XF_OK)
		return XF_FAILED;
	size_copy(ops, sizeof(*ops), theirs, theirs->struct_size);
	ops->struct_size = sizeof(*ops);
	REQUIRE(ops, "its sink", traits);
	REQUIRE(ops, "its sink", create);
	REQUIRE(ops, "its sink", start);
	REQUIRE(ops, "its sink", work);
	REQUIRE(ops, "its sink", publish);
	REQUIRE(ops, "its sink", stop);
	REQUIRE(ops, "its sink", destroy);
	plugin->transport.sink = ops;
	return XF_OK;
}

static enum xf_status
transport_seal(struct xf_catalogue *catalogue, struct plugin *plugin, const struct xf_class *theirs, struct xf_error *error)
{
	struct xf_transport_class *class = &plugin->transport;
	const struct xf_source_ops *source;
	const struct xf_sink_ops *sink;

	if (size_check("its class", theirs->struct_size, SIZE_UP_TO(struct xf_transport_class, sink), error) != XF_OK)
		return XF_FAILED;
	size_copy(class, sizeof(*class), theirs, theirs->struct_size);
	class->head = plugin->head;
	class->head.struct_size = sizeof(*class);
	source = class->source;
	sink = class->sink;
	class->source = NULL;
	class->sink = NULL;
	if (source == NULL && sink == NULL)
		return xf_error_set(error, "has neither a source nor a sink");
	if (source_seal(plugin, source, error) != XF_OK || sink_seal(plugin, sink, error) != XF_OK)
		return XF_FAILED;
	if ((class->open == NULL) != (class->close == NULL))
		return xf_error_set(error, "has open() or close() without the other");
	if (table_seal(catalogue, class->options, "options", 0, &class->options, error) != XF_OK ||
	    table_seal(catalogue, class->source_options, "source options", 0, &class->source_options, error) != XF_OK ||
	    table_seal(catalogue, class->sink_options, "sink options", 0, &class->sink_options, error) != XF_OK)
		return XF_FAILED;
	return XF_OK;
}

static enum xf_status
handler_seal(struct xf_catalogue *catalogue, struct plugin *plugin, const struct xf_class *theirs, struct xf_error *error)
{
	struct xf_handler_class *class = &plugin->handler;
	struct xf_handler_ops *ops = &plugin->handler_ops;

	if (size_check("its class", theirs->struct_size, SIZE_UP_TO(struct xf_handler_class, ops), error) != XF_OK)
		return XF_FAILED;
	size_copy(class, sizeof(*class), theirs, theirs->struct_size);
	class->head = plugin->head;
	class->head.struct_size = sizeof(*class);
	if (class->ops == NULL)
		return xf_error_set(error, "has no ops");
	if (size_check("its ops", class->ops->struct_size, SIZE_UP_TO(struct xf_handler_ops, destroy), error) != XF_OK)
		return XF_FAILED;
	size_copy(ops, sizeof(*ops), class->ops, class->ops->struct_size);
	ops->struct_size = sizeof(*ops);
	REQUIRE(ops, "its handler", create);
	REQUIRE(ops, "its handler", process);
	REQUIRE(ops, "its handler", destroy);
	if (ops->work != NULL)
		REQUIRE(ops, "its handler", cancel);
	class->ops = ops;
	return table_seal(catalogue, class->options, "options", 0, &class->options, error);
}

static enum xf_status
plugin_seal(struct xf_catalogue *catalogue, struct plugin *plugin, const struct xf_class *theirs,
            struct xf_error *error)
{
	plugin->head = *theirs;
	if (plugin->head.summary == NULL)
		plugin->head.summary = "";
	plugin->theirs = theirs;
	return theirs->kind == XF_KIND_HANDLER ? handler_seal(catalogue, plugin, theirs, error)
	                                       : transport_seal(catalogue, plugin, theirs, error);
}

/* ---- Loading ------------------------------------------------------------------------------ */

static struct module *
module_open(const char *real, struct xf_error *error)
{
	const struct xf_entry *(*entry)(void);
	struct module *module;
	int flags = RTLD_NOW | RTLD_LOCAL;
	void *handle;

	if (build_flags() == 0)
		flags |= RTLD_NODELETE;
	handle = dlopen(real, flags);
	if (handle == NULL) {
		const char *reason = dlerror();
		size_t len = strlen(real);

		/* The loader puts the file in front, which the caller does as well. */
		if (reason != NULL && strncmp(reason, real, len) == 0 && strncmp(reason + len, ": ", 2) == 0)
			reason += len + 2;
		xf_error_set(error, "cannot be opened: %s", reason != NULL ? reason : "no reason given");
		return NULL;
	}
	entry = entry_find(handle, error);
	module = xf_alloc(sizeof(*module));
	if (entry == NULL || entry_check(entry(), &module->entry, error) != XF_OK) {
		free(module);
		dlclose(handle);
		return NULL;
	}
	module->handle = handle;
	module->file = xf_strdup(real);
	return module;
}

/* The module of the file at PATH, opened now or before. */
static struct module *
module_get(struct xf_catalogue *catalogue, const char *path, struct xf_error *error)
{
	char real[PATH_MAX];
	struct module *module;
	struct stat stat_;
	int file = file_open(catalogue, path, real, &stat_, error);

	if (file < 0)
		return NULL;
	for (module = catalogue->modules; module != NULL; module = module->next)
		if (module->device == stat_.st_dev && module->inode == stat_.st_ino)
			break;
	if (module == NULL && elf_check(file, &stat_, error) == XF_OK) {
		module = module_open(real, error);
		if (module != NULL) {
			module->device = stat_.st_dev;
			module->inode = stat_.st_ino;
			module->next = catalogue->modules;
			catalogue->modules = module;
			if ((build_flags() & ~module->entry.build_flags) != 0)
				xf_log(XF_LOG_WARN, "plugins",
				       "built without the sanitizer of this program, which sees less of it file=%s", real);
		}
	}
	close(file);
	return module;
}

/* "a transport" or "a handler" */
static const char *
kind_text(uint32_t kind)
{
	switch (kind) {
	case XF_KIND_TRANSPORT:
		return "a transport";
	case XF_KIND_HANDLER:
		return "a handler";
	default:
		return "of a kind that this crossfade does not know";
	}
}

/* Class NAME of KIND in the module; without a name, the only one. */
static const struct xf_class *
class_find(const struct module *module, uint32_t kind, const char *name, bool only, struct xf_error *error)
{
	const struct xf_class *found = NULL, *other = NULL;
	const char *word = xf_plugin_kind_name(kind);
	size_t count = 0;

	for (size_t i = 0; module->entry.classes[i] != NULL; i++) {
		const struct xf_class *class = module->entry.classes[i];

		if (name != NULL && strcmp(class->name, name) == 0) {
			if (class->kind == kind)
				return class;
			xf_error_set(error, "class '%.64s' is %s; expected %s", class->name, kind_text(class->kind),
			             kind_text(kind));
			return NULL;
		}
		other = class;
		if (class->kind == kind) {
			found = class;
			count++;
		}
	}
	if (only && count == 1)
		return found;
	if (only && count > 1)
		xf_error_set(error, "has %zu %ss; expected one, or one named as the file is", count, word);
	else if (count == 0)
		xf_error_set(error, "has no %s (its class '%.64s' is of kind %lu); expected one", word, other->name,
		             (unsigned long)other->kind);
	else
		xf_error_set(error, "holds class '%.64s'; expected '%.64s', as the file's name says", found->name, name);
	return NULL;
}

static void
info_add(struct xf_catalogue *catalogue, const struct plugin *plugin)
{
	const struct xf_entry *entry = &plugin->module->entry;

	size_t count = atomic_load(&catalogue->info_count);

	catalogue->infos[count] = (struct xf_plugin_info){
		.file = plugin->module->file,
		.class_name = plugin->head.name,
		.summary = plugin->head.summary,
		.version = entry->version,
		.id = entry->id,
		.kind = plugin->head.kind,
		.abi_major = entry->abi_major,
		.abi_minor = entry->abi_minor,
	};
	atomic_store(&catalogue->info_count, count + 1);
}

static const struct plugin *
plugin_get(struct xf_catalogue *catalogue, const char *path, uint32_t kind, const char *name, bool only,
           struct xf_error *error)
{
	struct module *module = module_get(catalogue, path, error);
	const struct xf_class *class;
	struct plugin *plugin;

	if (module == NULL)
		return NULL;
	class = class_find(module, kind, name, only, error);
	if (class == NULL)
		return NULL;
	for (plugin = catalogue->plugins; plugin != NULL; plugin = plugin->next)
		if (plugin->theirs == class)
			return plugin;

	if (atomic_load(&catalogue->info_count) == PLUGINS_MAX) {
		xf_error_set(error, "there are %d plugins already, the most that are loaded", PLUGINS_MAX);
		return NULL;
	}
	plugin = xf_alloc(sizeof(*plugin));
	plugin->module = module;
	if (plugin_seal(catalogue, plugin, class, error) != XF_OK) {
		xf_error_prefix(error, "class '%.64s'", class->name);
		free(plugin);
		return NULL;
	}
	plugin->next = catalogue->plugins;
	catalogue->plugins = plugin;
	info_add(catalogue, plugin);
	return plugin;
}

/* ---- The catalogue -------------------------------------------------------------------------------- */

struct xf_catalogue *
xf_catalogue_create(void)
{
	struct xf_catalogue *catalogue = xf_alloc(sizeof(*catalogue));
	char exe[PATH_MAX];
	struct stat stat_;

	owner_trust(catalogue, 0);
	owner_trust(catalogue, geteuid());
	if (realpath("/proc/self/exe", exe) != NULL && stat(exe, &stat_) == 0) {
		owner_trust(catalogue, stat_.st_uid);
		folders_visit(exe, folder_trust, catalogue, NULL);
	}
	return catalogue;
}

void
xf_catalogue_destroy(struct xf_catalogue **catalogue)
{
	struct xf_catalogue *gone = *catalogue;

	if (gone == NULL)
		return;
	*catalogue = NULL;
	while (gone->plugins != NULL) {
		struct plugin *plugin = gone->plugins;

		gone->plugins = plugin->next;
		free(plugin);
	}
	while (gone->modules != NULL) {
		struct module *module = gone->modules;

		gone->modules = module->next;
		dlclose(module->handle); /* unloads in sanitizer builds only */
		free(module->file);
		free(module);
	}
	while (gone->builtins != NULL) {
		struct builtin *builtin = gone->builtins;

		gone->builtins = builtin->next;
		free(builtin);
	}
	while (gone->blocks != NULL) {
		struct block *block = gone->blocks;

		gone->blocks = block->next;
		free(block);
	}
	xf_folders_free(gone->dirs, gone->dir_count);
	free(gone);
}

void
xf_catalogue_search(struct xf_catalogue *catalogue, const char *const *dirs, size_t count)
{
	xf_folders_free(catalogue->dirs, catalogue->dir_count);
	catalogue->dirs = xf_alloc_array(count + 1, sizeof(*catalogue->dirs));
	catalogue->dir_count = count;
	for (size_t i = 0; i < count; i++)
		catalogue->dirs[i] = xf_strdup(dirs[i]);
}

/* The folders in which names are looked up, COUNT of them; the caller frees each and the array. */
static char **
folders_list(const struct xf_catalogue *catalogue, size_t *count)
{
	char **folders = xf_alloc_array(catalogue->dir_count + 3, sizeof(*folders));
	const char *named = getenv("CROSSFADE_PLUGIN_DIR");
	char exe[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	*count = 0;
	for (size_t i = 0; i < catalogue->dir_count; i++)
		folders[(*count)++] = xf_strdup(catalogue->dirs[i]);
	if (named != NULL && named[0] != '\0')
		folders[(*count)++] = xf_strdup(named);
	for (int up = 0; len > 0 && up < 2; up++) {
		while (len > 0 && exe[len - 1] != '/')
			len--;
		if (len > 0)
			exe[--len] = '\0';
	}
	if (len >= 0) {
		exe[len] = '\0';
		folders[(*count)++] = xf_format("%s/lib/crossfade/plugins", exe);
#ifdef XF_LIBDIR
		if (strcmp(XF_LIBDIR, "lib") != 0)
			folders[(*count)++] = xf_format("%s/" XF_LIBDIR "/crossfade/plugins", exe);
#endif
	}
	return folders;
}

char **
xf_catalogue_names(const struct xf_catalogue *catalogue, uint32_t kind, size_t *count)
{
	char **folders, **names;
	size_t folder_count;

	folders = folders_list(catalogue, &folder_count);
	names = xf_folders_names(folders, folder_count, kind, count);
	xf_folders_free(folders, folder_count);
	return names;
}

void
xf_catalogue_builtin(struct xf_catalogue *catalogue, const struct xf_transport_class *class)
{
	struct builtin *builtin = xf_alloc(sizeof(*builtin));

	builtin->class = class;
	builtin->next = catalogue->builtins;
	catalogue->builtins = builtin;
}

/* The plugin that NAME, a name or a path, says. */
static const struct plugin *
plugin_find(struct xf_catalogue *catalogue, uint32_t kind, const char *name, struct xf_error *error)
{
	const struct plugin *plugin;
	bool path = strchr(name, '/') != NULL;
	char *file, *called = NULL;

	if (path) {
		file = xf_strdup(name);
		called = xf_plugin_file_name(kind, strrchr(name, '/') + 1);
	} else {
		char **folders;
		size_t count;

		folders = folders_list(catalogue, &count);
		file = xf_folders_find(folders, count, kind, name, error);
		xf_folders_free(folders, count);
		if (file == NULL)
			return NULL;
	}
	plugin = plugin_get(catalogue, file, kind, path ? called : name, path, error);
	if (plugin == NULL)
		xf_error_prefix(error, "%s", file);
	free(called);
	free(file);
	return plugin;
}

const struct xf_transport_class *
xf_catalogue_transport(struct xf_catalogue *catalogue, const char *name, struct xf_error *error)
{
	const struct plugin *plugin;

	for (const struct builtin *builtin = catalogue->builtins; builtin != NULL; builtin = builtin->next)
		if (strcmp(builtin->class->head.name, name) == 0)
			return builtin->class;
	plugin = plugin_find(catalogue, XF_KIND_TRANSPORT, name, error);
	return plugin != NULL ? &plugin->transport : NULL;
}

const struct xf_handler_class *
xf_catalogue_handler(struct xf_catalogue *catalogue, const char *name, struct xf_error *error)
{
	const struct plugin *plugin = plugin_find(catalogue, XF_KIND_HANDLER, name, error);

	return plugin != NULL ? &plugin->handler : NULL;
}

static const struct xf_transport_class *
conf_transport(void *context, const char *name, struct xf_error *error)
{
	return xf_catalogue_transport(context, name, error);
}

static const struct xf_handler_class *
conf_handler(void *context, const char *name, struct xf_error *error)
{
	return xf_catalogue_handler(context, name, error);
}

static void
conf_search(void *context, const char *const *dirs, size_t count)
{
	xf_catalogue_search(context, dirs, count);
}

struct xf_conf_catalogue
xf_catalogue_for_conf(struct xf_catalogue *catalogue)
{
	return (struct xf_conf_catalogue){
		.transport = conf_transport,
		.handler = conf_handler,
		.search = conf_search,
		.host = xf_host(),
		.context = catalogue,
	};
}

const struct xf_plugin_info *
xf_catalogue_loaded(const struct xf_catalogue *catalogue, size_t *count)
{
	*count = atomic_load(&catalogue->info_count);
	return catalogue->infos;
}
