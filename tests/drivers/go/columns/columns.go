// Package columns tells the columns of the matrix once for both drivers of Go: one JSON line
// for each column that is named on the command line.
package columns

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
)

const (
	clients = 8
	uses    = 50
)

// Client is one connection of a driver; what is in no Transaction commits by itself.
type Client interface {
	Rows(sql string) ([][]string, error)
	// Transaction is the driver's own block; SavepointFails has one in it that is undone.
	Transaction(block func() error) error
	// Prepared gives number + offset and the server's pid; offset is in the statement's text.
	Prepared(offset, number int) (total, pid int, err error)
	Pipeline() error
	CopyIn(table string, numbers int) error
	CopyBadly(table string) error
	CopyOut(table string) (lines int, err error)
	// Cancelled begins a query of 30 s and cancels it.
	Cancelled() error
	// Listen gives a function that waits for one payload.
	Listen(channel string) (func() (string, error), error)
	Close() error
}

// Driver is what the columns need to know of a driver.
type Driver struct {
	Connect        func(password, caFile string) (Client, error)
	SQLState       func(err error) string
	SurvivesCancel bool
}

// NotApplicable says why the driver has no such thing.
type NotApplicable string

func (reason NotApplicable) Error() string { return string(reason) }

type cell map[string]any

type column func(Driver) (cell, error)

var table = map[string]column{
	"connects": connects, "prepares": prepares, "pipelines": pipelines, "copies": copies,
	"cancels": cancels, "sets": sets, "transactions": transactions, "session": session,
	"loses": loses,
}

// Run answers for each column that is named on the command line.
func Run(driver Driver) {
	for _, name := range os.Args[1:] {
		line := answer(driver, name)
		line["column"] = name
		text, err := json.Marshal(line)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(text))
	}
}

func answer(driver Driver, name string) cell {
	got, err := table[name](driver)
	var reason NotApplicable
	switch {
	case errors.As(err, &reason):
		return cell{"result": "n/a", "reason": string(reason)}
	case err != nil:
		fmt.Fprintln(os.Stderr, name, err)
		told := strings.Join(strings.Fields(err.Error()), " ")
		return cell{"result": fmt.Sprintf("FAILED: %s %.300s", driver.SQLState(err), told)}
	case got == nil:
		got = cell{}
	}
	got["result"] = "ok"
	return got
}

func same(got, expected any) error {
	if !reflect.DeepEqual(got, expected) {
		return fmt.Errorf("%v and not %v", got, expected)
	}
	return nil
}

func (driver Driver) expect(err error, sqlstates ...string) error {
	if err == nil {
		return fmt.Errorf("none of %v was raised", sqlstates)
	}
	if slices.Contains(sqlstates, driver.SQLState(err)) {
		return nil
	}
	return err
}

func (driver Driver) connect() (Client, error) {
	return driver.Connect(os.Getenv("PGPASSWORD"), os.Getenv("PGSSLROOTCERT"))
}

func (driver Driver) with(use func(Client) error) error {
	client, err := driver.connect()
	if err != nil {
		return err
	}
	return errors.Join(use(client), client.Close())
}

func run(client Client, texts ...string) error {
	for _, sql := range texts {
		if _, err := client.Rows(sql); err != nil {
			return err
		}
	}
	return nil
}

func shows(client Client, sql string, expected ...string) error {
	rows, err := client.Rows(sql)
	if err != nil {
		return err
	}
	var values []string
	for _, row := range rows {
		values = append(values, row...)
	}
	return same(values, expected)
}

func connects(driver Driver) (cell, error) {
	err := driver.with(func(client Client) error {
		return shows(client, "SELECT current_user::text", os.Getenv("PGUSER"))
	})
	if err != nil {
		return nil, err
	}
	_, err = driver.Connect("wrong", os.Getenv("PGSSLROOTCERT"))
	if err = driver.expect(err, "28P01"); err != nil {
		return nil, err
	}
	_, err = driver.Connect(os.Getenv("PGPASSWORD"), os.Getenv("OTHER_CA"))
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		return nil, fmt.Errorf("an unknown authority: %w", err)
	}
	return nil, nil
}

func prepares(driver Driver) (cell, error) {
	var group sync.WaitGroup
	seen, failures := make([]int, clients), make([]error, clients)
	for at := range clients {
		group.Go(func() {
			failures[at] = driver.with(func(client Client) (err error) {
				seen[at], err = preparing(client, 1000*at)
				return err
			})
		})
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	return cell{"fewest_servers": slices.Min(seen), "most_servers": slices.Max(seen)}, nil
}

func preparing(client Client, offset int) (int, error) {
	pids := map[int]bool{}
	for number := range uses {
		total, pid, err := client.Prepared(offset, number)
		if err == nil {
			err = same(total, number+offset)
		}
		if err != nil {
			return 0, err
		}
		pids[pid] = true
	}
	return len(pids), nil
}

func pipelines(driver Driver) (cell, error) {
	return nil, driver.with(func(client Client) error {
		for range 3 {
			if err := errors.Join(client.Pipeline(), shows(client, "SELECT 1", "1")); err != nil {
				return err
			}
		}
		return nil
	})
}

func copies(driver Driver) (cell, error) {
	return nil, driver.withTable("copied", "n int, t text", func(client Client, table string) error {
		if err := client.CopyIn(table, 1000); err != nil {
			return err
		}
		lines, err := client.CopyOut(table)
		var none NotApplicable
		if !errors.As(err, &none) {
			err = errors.Join(err, same(lines, 1000))
		} else {
			err = nil
		}
		bad := driver.expect(client.CopyBadly(table), "22P02")
		sum := shows(client, "SELECT count(*), sum(n) FROM "+table, "1000", "499500")
		return errors.Join(err, bad, sum)
	})
}

func (driver Driver) withTable(
	name, columns string, use func(client Client, table string) error,
) error {
	table := fmt.Sprintf("%s_%d", name, os.Getpid())
	return driver.with(func(client Client) error {
		if err := run(client, fmt.Sprintf("CREATE TABLE %s (%s)", table, columns)); err != nil {
			return err
		}
		return errors.Join(use(client, table), run(client, "DROP TABLE "+table))
	})
}

func cancels(driver Driver) (cell, error) {
	err := driver.with(func(client Client) error {
		for range 3 {
			if err := driver.expect(client.Cancelled(), "57014"); err != nil {
				return err
			}
			if !driver.SurvivesCancel {
				return nil
			}
			if err := shows(client, "SELECT 1", "1"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return nil, driver.with(func(client Client) error { return shows(client, "SELECT 1", "1") })
}
