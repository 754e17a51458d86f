# Sourced, by bash or sh: where this machine gets Debian's packages from, by its own apt sources.

# debian_mirror security|main: prints the URI of that archive, or nothing.
debian_mirror() {
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
		awk -v security="$1" '
			{ is = ($2 ~ /-security$/) ? "security" : "main" }
			is == security && $1 ~ /debian/ { print $1; exit }'
}

# Whose signature is on them.
DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
