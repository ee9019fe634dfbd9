# SPDX-License-Identifier: Apache-2.0
# bash completion for kernelfs; bash-completion loads it by the program's name.

_kernelfs()
{
	local cur prev verbs options word verb
	verbs='mount umount env resolve lock fetch verify why status refresh
		cache doctor help version'
	options='--source= --mirror= --offline --insecure --cache=
		--cache-size= --min-free= --tier= --passthrough= --lock= --locked
		--refresh= --trust= --import= --python= --env=
		--backend= --token-file= --connect-timeout= --stall-timeout=
		--deadline= --connections= --config= --log= --log-level=
		--foreground --debug --all-variants --compile --range= --json --help
		--version'

	COMPREPLY=()
	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD - 1]}
	# bash splits --name=value at the '='.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi

	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		if [[ " $verbs " == *" $word "* ]]; then
			verb=$word
			break
		fi
	done

	case $prev in
	--log-level)
		COMPREPLY=($(compgen -W 'error warning info debug' -- "$cur"))
		return
		;;
	--passthrough)
		COMPREPLY=($(compgen -W 'auto off require' -- "$cur"))
		return
		;;
	--backend)
		COMPREPLY=($(compgen -W 'cpu cuda rocm xpu cann' -- "$cur"))
		return
		;;
	--cache | --python | --tier)
		COMPREPLY=($(compgen -d -- "$cur"))
		return
		;;
	--config | --token-file | --env | --log | --lock)
		COMPREPLY=($(compgen -f -- "$cur"))
		return
		;;
	--offline | --insecure | --locked)
		COMPREPLY=($(compgen -W 'on off' -- "$cur"))
		return
		;;
	--source | --mirror | --trust | --import | --*-timeout | --deadline | \
		--connections | --cache-size | --min-free | --refresh | --range | -o)
		return
		;;
	esac

	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$options -o -f -d -z" -- "$cur"))
		[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
	elif [[ $verb == help ]]; then
		COMPREPLY=($(compgen -W "$verbs" -- "$cur"))
	elif [[ -z $verb ]]; then
		COMPREPLY=($(compgen -W "$verbs" -- "$cur")
			$(compgen -d -- "$cur"))
	elif [[ $verb == cache ]]; then
		COMPREPLY=($(compgen -W 'ls gc verify' -- "$cur"))
	elif [[ $verb == @(why|lock) ]]; then
		COMPREPLY=($(compgen -f -- "$cur"))
	elif [[ $verb == @(mount|umount|status|refresh) ]]; then
		COMPREPLY=($(compgen -d -- "$cur"))
	fi
}

complete -o filenames -F _kernelfs kernelfs
