# Sourced, by bash or sh, at the top of every program here that is a script, before it does anything: its help is the comment at its
# top. `-h` and `--help` print that and end it; an option that stands nowhere in it is an error (status 2). What comes after `--`
# is no option.

help_text=$(sed -n -e 1d -e '/^#/!q' -e 's/^# \{0,1\}//p' "$0")
help_words=" $(printf '%s' "$help_text" | tr -cs -- '-a-zA-Z0-9' ' ') "

# refuse TEXT...: the command line can not be understood.
refuse() {
	echo "$(basename "$0"): $*: see  $0 --help" >&2
	exit 2
}

for argument in "$@"; do
	case $argument in
	-h | --help)
		printf '%s\n' "$help_text"
		exit 0
		;;
	--) break ;;
	-?*)
		case $help_words in
		*" ${argument%%=*} "*) ;;
		*) refuse "there is no option ${argument%%=*}" ;;
		esac
		;;
	esac
done
unset argument help_text help_words
