package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/gophercloud/gophercloud"
)

// steps prints a line a step, and counts them.
type steps struct {
	passed, failed int
}

// stop ends the run: what comes next would stand on what failed.
type stop struct{}

func (s *steps) fail(name string, format string, arguments ...interface{}) {
	s.failed++
	fmt.Printf("FAIL %s: %s\n", name, fmt.Sprintf(format, arguments...))
}

// is compares a result with what it should be.
func (s *steps) is(name string, got, wanted interface{}) {
	if !reflect.DeepEqual(got, wanted) {
		s.fail(name, "%#v, not %#v", got, wanted)
		return
	}
	s.passed++
	fmt.Println("OK " + name)
}

// need ends the run if a call failed that should not.
func (s *steps) need(name string, err error) {
	if err != nil {
		s.fail(name, "%v", err)
		panic(stop{})
	}
}

// refused expects a call to have been answered with a status that the client takes for an error.
func (s *steps) refused(name string, err error, status int) {
	var answered gophercloud.StatusCodeError
	if !errors.As(err, &answered) {
		s.fail(name, "%v, not status %d", err, status)
		return
	}
	s.is(name, answered.GetStatusCode(), status)
}

// run does one part after the other, and ends the process.
func (s *steps) run(parts ...func(*steps)) {
	for _, part := range parts {
		if !s.finishes(part) {
			break
		}
	}
	fmt.Printf("passed %d failed %d\n", s.passed, s.failed)
	if s.failed > 0 {
		os.Exit(1)
	}
}

func (s *steps) finishes(part func(*steps)) (finished bool) {
	defer func() {
		if cause := recover(); cause != nil {
			if _, stopped := cause.(stop); !stopped {
				panic(cause)
			}
		}
	}()
	part(s)
	return true
}
