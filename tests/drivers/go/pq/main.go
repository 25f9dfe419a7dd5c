// lib/pq under database/sql, by its defaults: what has parameters goes in two round trips by
// the unnamed statement.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/lib/pq"

	"drivers/columns"
)

var ctx = context.Background()

// client is one connection of its pool; statements that were prepared belong to it.
type client struct {
	pool       *sql.DB
	connection *sql.Conn
	dsn        string
	transact   *sql.Tx
	statement  *sql.Stmt
	listener   *pq.Listener
}

func connect(password, caFile string) (columns.Client, error) {
	dsn := fmt.Sprintf("password='%s' sslrootcert='%s'", password, caFile) // the rest: environment
	pool, err := sql.Open("postgres", dsn)
	if err != nil {
		return nil, err
	}
	connection, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &client{pool: pool, connection: connection, dsn: dsn}, nil
}

func (it *client) query(text string, values ...any) (*sql.Rows, error) {
	if it.transact != nil {
		return it.transact.QueryContext(ctx, text, values...)
	}
	return it.connection.QueryContext(ctx, text, values...)
}

func (it *client) Rows(text string) ([][]string, error) {
	found, err := it.query(text)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	names, err := found.Columns()
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for found.Next() {
		row, places := make([]string, len(names)), make([]any, len(names))
		for at := range row {
			places[at] = &row[at]
		}
		if err = found.Scan(places...); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

func (it *client) Transaction(block func() error) error {
	transact, err := it.connection.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	it.transact = transact
	defer func() { it.transact = nil }()
	if err = block(); err != nil {
		if undone := transact.Rollback(); undone != nil {
			fmt.Fprintln(os.Stderr, "rollback:", undone)
		}
		return err
	}
	return transact.Commit()
}

// Prepared is by a statement of the program's own and by the unnamed one in turns.
func (it *client) Prepared(offset, number int) (total, pid int, err error) {
	text := fmt.Sprintf("SELECT $1::int + %d, pg_backend_pid()", offset)
	if number%2 == 1 {
		err = it.connection.QueryRowContext(ctx, text, number).Scan(&total, &pid)
		return total, pid, err
	}
	if it.statement == nil {
		if it.statement, err = it.connection.PrepareContext(ctx, text); err != nil {
			return 0, 0, err
		}
	}
	err = it.statement.QueryRow(number).Scan(&total, &pid)
	return total, pid, err
}

func (it *client) Pipeline() error {
	return columns.NotApplicable("lib/pq waits for each statement")
}

func (it *client) CopyIn(table string, numbers int) error {
	rows := make([][]any, numbers)
	for number := range numbers {
		rows[number] = []any{number, "a\tb\n"}
	}
	return it.copyIn(table, rows)
}

func (it *client) CopyBadly(table string) error {
	return it.copyIn(table, [][]any{{"no number", "x"}})
}

func (it *client) copyIn(table string, rows [][]any) error {
	return it.Transaction(func() error {
		statement, err := it.transact.PrepareContext(ctx, pq.CopyIn(table, "n", "t"))
		if err != nil {
			return err
		}
		for _, row := range rows {
			if _, err = statement.ExecContext(ctx, row...); err != nil {
				return err
			}
		}
		if _, err = statement.ExecContext(ctx); err != nil {
			return err
		}
		return statement.Close()
	})
}

func (it *client) CopyOut(string) (int, error) {
	return 0, columns.NotApplicable("lib/pq has no COPY TO STDOUT")
}

// Cancelled ends the context of a query: lib/pq sends a CancelRequest.
func (it *client) Cancelled() error {
	soon, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	_, err := it.connection.ExecContext(soon, "SELECT pg_sleep(30)")
	return err
}

func (it *client) Listen(channel string) (func() (string, error), error) {
	it.listener = pq.NewListener(it.dsn, time.Second, time.Minute, nil)
	err := it.listener.Listen(channel)
	return func() (string, error) {
		select {
		case heard := <-it.listener.Notify:
			return heard.Extra, nil
		case <-time.After(30 * time.Second):
			return "", errors.New("heard nothing")
		}
	}, err
}

func (it *client) Close() error {
	var failures []error
	if it.listener != nil {
		failures = append(failures, it.listener.Close())
	}
	if it.statement != nil {
		failures = append(failures, it.statement.Close())
	}
	return errors.Join(append(failures, it.connection.Close(), it.pool.Close())...)
}

func sqlState(err error) string {
	var told *pq.Error
	if errors.As(err, &told) {
		return string(told.Code)
	}
	return ""
}

func main() {
	if os.Getenv("PGSSLMODE") != "verify-full" {
		panic("PGSSLMODE is not verify-full")
	}
	columns.Run(columns.Driver{Connect: connect, SQLState: sqlState, SurvivesCancel: false})
}
