/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "names.h"
#include "world.h"

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/ref.h"
#include "resolver/resolve.h"

#include <errno.h>
#include <string.h>

/* All are checked before the first is refreshed. */
static int check_repos(const struct json *repos, struct err *err)
{
	const struct json *j = json_first(repos);
	struct repo_id repo;

	if (repos && !json_is_array(repos))
		return err_set(err, EINVAL, "refresh: repos is a list");
	if (json_count(repos) > COMMANDS_REPOS_MAX)
		return err_set(err, EINVAL, "refresh: more than %u repos",
			       COMMANDS_REPOS_MAX);
	for (; j; j = json_next(j)) {
		const char *name = json_string(j);
		int r = name ? ref_parse_repo(&repo, name, err)
			     : err_set(err, EINVAL,
				       "refresh: a repo is a "
				       "string");

		if (r < 0)
			return r;
	}
	return 0;
}

static int refresh(struct world *w, const struct json *request,
		   struct text *answer, struct err *err)
{
	const struct json *repos = json_get(request, "repos");
	const struct json *j = json_first(repos);
	struct repo_id repo;
	int r = check_repos(repos, err);

	if (r < 0)
		return r;
	if (!j) {
		names_refresh(w->names);
		resolve_refresh(w->resolve, NULL);
	}
	for (; j; j = json_next(j))
		if (ref_parse_repo(&repo, json_string(j), NULL) == 0)
			resolve_refresh(w->resolve, &repo);
	log_info("control", "names that can move are asked for again");
	text_printf(answer, ", \"repos\": %zu", json_count(repos));
	return text_failed(answer);
}

int commands_answer(void *world, const struct json *request,
		    struct text *answer, struct err *err)
{
	const char *command = json_get_string(request, "command");

	if (command && !strcmp(command, "refresh"))
		return refresh(world, request, answer, err);
	return err_set(err, ENOSYS, "no command is called '%.64s'",
		       command ? command : "");
}
