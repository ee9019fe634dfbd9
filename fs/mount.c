/* SPDX-License-Identifier: Apache-2.0 */
#include "mount.h"

#include "backing.h"
#include "commands.h"
#include "control.h"
#include "ctl.h"
#include "daemon.h"
#include "mountpoint.h"
#include "names.h"
#include "ops.h"
#include "options.h"
#include "park.h"
#include "reports.h"
#include "view.h"
#include "wire.h"
#include "world.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/source.h"
#include "kernels/store.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * Threads that take the kernel's requests. None ends when it is idle: with
 * less to stay than may be there, libfuse starts and ends them, each with a
 * pipe of its own, all the time that pages are read through us.
 */
#define LOOP_THREADS 10

struct mount {
	const struct options *o;
	char *path; /* owned; absolute */
	struct daemon daemon;
	struct world *world;
	struct view *view;
	struct park *park;
	struct reports *reports;
	struct backing *backing;
	struct control *control;
	struct ops_context ops;
	struct fuse_session *session;
	bool mounted;
};

/* ---- options of FUSE ---- */

static const char *fuse_value(const struct options *o, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < o->fuse.count; i++)
		if (!strncmp(o->fuse.items[i], name, len) &&
		    o->fuse.items[i][len] == '=')
			return o->fuse.items[i] + len + 1;
	return NULL;
}

static int owner_id(const struct options *o, const char *name, uint32_t ours,
		    uint32_t *out, struct err *err)
{
	const char *text = fuse_value(o, name);
	uint64_t id;

	*out = ours;
	if (!text)
		return 0;
	if (text_to_u64(text, UINT32_MAX - 1, &id) < 0)
		return err_set(err, EINVAL,
			       "%s=%s: not a number of a user or "
			       "group",
			       name, text);
	*out = (uint32_t)id;
	return 0;
}

/* The -o list that libfuse hands to the kernel. */
static int session_options(const struct mount *m, struct text *out)
{
	text_add(out, "ro,nosuid,nodev,default_permissions,subtype=kernelfs,"
		      "fsname=");
	for (const char *p = m->world->source->url; *p; p++) {
		if (*p == ',' || *p == '\\')
			text_add_char(out, '\\');
		text_add_char(out, *p);
	}
	for (size_t i = 0; i < m->o->fuse.count; i++) {
		const char *f = m->o->fuse.items[i];

		if (!text_starts(f, "uid=") && !text_starts(f, "gid="))
			text_printf(out, ",%s", f);
	}
	return text_failed(out);
}

static int new_session(struct mount *m, struct err *err)
{
	AUTO(auto_text) struct text list = TEXT_INIT(65536);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int r = session_options(m, &list);

	if (r < 0)
		return err_errno(err, -r, "mount options");
	if (fuse_opt_add_arg(&args, "kernelfs") < 0 ||
	    fuse_opt_add_arg(&args, "-o") < 0 ||
	    fuse_opt_add_arg(&args, text_str(&list)) < 0 ||
	    (m->o->debug && fuse_opt_add_arg(&args, "-d") < 0)) {
		fuse_opt_free_args(&args);
		return err_errno(err, ENOMEM, "mount options");
	}
	m->session = fuse_session_new(
		&args, ops_table(), sizeof(struct fuse_lowlevel_ops), &m->ops);
	fuse_opt_free_args(&args);
	if (!m->session)
		return err_set(err, EINVAL,
			       "the mount options '%s' were not "
			       "accepted",
			       text_str(&list));
	return 0;
}

/* ---- birth ---- */

static int open_log(const struct options *o, struct err *err)
{
	enum log_level level = LOG_INFO;
	const char *where = o->log	    ? o->log
			    : o->foreground ? "stderr"
					    : "syslog";

	if (o->log_level && log_level_parse(o->log_level, &level) < 0)
		return err_set(err, EINVAL,
			       "log_level=%s: error, warning, "
			       "info or debug",
			       o->log_level);
	return log_open(where, o->debug ? LOG_DEBUG : level, err);
}

/*
 * Until the mount serves, what goes wrong is said where the user looks: on
 * the terminal, also when the log will be elsewhere.
 */
static int start_log(const struct options *o, struct err *err)
{
	int r = open_log(o, err);

	if (r < 0 || o->foreground)
		return r;
	return log_open("stderr", LOG_WARNING, err);
}

static void say_ready(struct mount *m)
{
	AUTO(auto_text) struct text reason = TEXT_INIT(1024);

	if (!m->o->foreground)
		(void)open_log(m->o, NULL); /* it could be opened before */
	log_info("mount", "%s at '%s' for %s", m->world->source->url, m->path,
		 m->world->spec);
	backing_reason(m->backing, &reason);
	/* Who switched it off knows. */
	if (!backing_is_on(m->backing) && strcmp(m->o->passthrough, "off"))
		log_info("mount",
			 "no passthrough: %s; files are read through "
			 "this process",
			 text_str(&reason));
	daemon_ready(&m->daemon);
}

/* One descriptor per file that is open; the kernel's own bound is higher. */
static void raise_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int64_t tick_backing(void *ctx)
{
	return backing_tick(ctx);
}

/* A mount can do without; it is told to whoever asks for it. */
static void start_control(struct mount *m)
{
	struct err err = ERR_INIT;

	if (control_new(&m->control, m->path, commands_answer, m->world, &err) <
	    0)
		log_warning("control", "no control socket: %s", err_text(&err));
	else
		view_set_control(m->view, control_path(m->control));
}

/* Before there is a thread that could want room in the store. */
static int start_backing(struct mount *m, struct err *err)
{
	int r = backing_new(&m->backing, m->o->passthrough,
			    store_path(m->world->store), view_inodes(m->view),
			    err);

	if (r < 0)
		return r;
	store_ask_idle(m->world->store, backing_let_go, m->backing);
	view_set_backing(m->view, m->backing);
	return 0;
}

static int start(struct mount *m, struct err *err)
{
	uint32_t uid = 0, gid = 0;
	int r;

	r = owner_id(m->o, "uid", getuid(), &uid, err);
	if (r == 0)
		r = owner_id(m->o, "gid", getgid(), &gid, err);
	if (r == 0)
		r = start_log(m->o, err);
	if (r == 0)
		r = world_new(&m->world, m->o, err);
	if (r < 0)
		return r;
	r = view_new(&m->view, m->world, m->path, err);
	if (r == 0)
		r = start_backing(m, err);
	if (r < 0)
		return r;
	names_start(m->world->names, (int64_t)m->o->connect_timeout_ms);
	r = park_new(&m->park, m->view, (int64_t)m->o->deadline_ms, err);
	if (r == 0)
		r = reports_new(&m->reports, err);
	if (r < 0)
		return r;
	park_also(m->park, tick_backing, m->backing);
	backing_wake_with(m->backing, park_wake, m->park);
	start_control(m);
	m->ops = (struct ops_context){ .view = m->view,
				       .park = m->park,
				       .reports = m->reports,
				       .uid = uid,
				       .gid = gid,
				       .backing = m->backing };
	return new_session(m, err);
}

static int attach(struct mount *m, struct err *err)
{
	struct backing_device device;
	int r;

	if (fuse_set_signal_handlers(m->session) < 0)
		return err_set(err, EIO, "signal handlers");
	if (fuse_session_mount(m->session, m->path) < 0)
		return err_set(err, EIO,
			       "mount at '%s' was refused; is "
			       "/dev/fuse there and fusermount3 installed? "
			       "(kernelfs doctor looks)",
			       m->path);
	m->mounted = true;
	r = wire_mend(m->session, err);
	if (r == 0)
		r = wire_agree(m->session, err);
	if (r < 0)
		return r;
	device = wire_device(m->session);
	return backing_begin(m->backing, &device, err);
}

/* ---- death: the reverse ---- */

static void stop(struct mount *m)
{
	control_free(m->control);
	if (m->world)
		world_stop(m->world);
	if (m->park)
		park_stop(m->park);
	backing_end(m->backing);
	if (m->mounted)
		fuse_session_unmount(m->session);
	if (m->session) {
		fuse_remove_signal_handlers(m->session);
		fuse_session_destroy(m->session);
	}
	/* Workers end before what they answer with is taken away. */
	world_free(m->world);
	park_free(m->park);
	reports_free(m->reports);
	view_free(m->view);
	backing_free(m->backing);
	log_close();
	free(m->path);
}

static int serve(struct mount *m, struct err *err)
{
	struct fuse_loop_config *config;
	int r = start(m, err);

	if (r == 0)
		r = attach(m, err);
	if (r < 0) {
		daemon_failed(&m->daemon, r, err);
		return r;
	}
	say_ready(m);
	config = fuse_loop_cfg_create();
	if (!config)
		return err_errno(err, ENOMEM, "loop");
	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_loop_cfg_set_max_threads(config, LOOP_THREADS);
	fuse_loop_cfg_set_idle_threads(config, LOOP_THREADS);
	r = fuse_session_loop_mt(m->session, config);
	fuse_loop_cfg_destroy(config);
	if (r < 0)
		return err_errno(err, -r, "serve '%s'", m->path);
	log_info("mount", "'%s' ended%s", m->path, r > 0 ? " by a signal" : "");
	return 0;
}

int mount_run(const struct options *o, struct err *err)
{
	struct mount m = { .o = o, .daemon = { .pipe = -1 } };
	int r;

	if (o->words.count == 0)
		return err_set(err, EINVAL, "no mount point was named");
	r = mountpoint_check(o->words.items[o->words.count - 1], &m.path, err);
	if (r < 0)
		return r;
	if (!o->foreground) {
		r = daemon_fork(&m.daemon, err);
		if (r != 0) {
			free(m.path);
			return r < 0 ? r : 0;
		}
	}
	(void)signal(SIGPIPE, SIG_IGN);
	/* Few arenas: freed memory of many threads is found again. */
	(void)mallopt(M_ARENA_MAX, 2);
	raise_descriptors();
	r = serve(&m, err);
	stop(&m);
	if (!o->foreground) /* the parent has told, or it was served */
		_exit(r < 0);
	return r;
}
