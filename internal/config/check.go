package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Prefix puts the name of a nested struct before each of the errors that its Validate joined.
func Prefix(name string, err error) error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s.%w", name, err)
	}
	var errs []error
	for _, e := range joined.Unwrap() {
		errs = append(errs, Prefix(name, e))
	}
	return errors.Join(errs...)
}

// Required refuses an empty value.
func Required(name, value string) error {
	if value == "" {
		return fmt.Errorf("%s: is required", name)
	}
	return nil
}

// Address refuses what is not HOST:PORT. An empty host is every address of this one.
func Address(name, value string) error {
	_, port, err := net.SplitHostPort(value)
	if err != nil {
		return fmt.Errorf("%s: %q is not HOST:PORT", name, value)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%s: %q has no port between 0 and 65535", name, value)
	}
	return nil
}

// OneOf refuses a value that is not listed.
func OneOf(name, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s: %q is none of %s", name, value, strings.Join(allowed, ", "))
}
