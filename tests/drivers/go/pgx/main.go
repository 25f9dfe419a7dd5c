// pgx v5 by its defaults: it prepares and caches whatever is asked with parameters.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drivers/columns"
)

var ctx = context.Background()

type client struct{ *pgx.Conn }

func connect(password, caFile string) (columns.Client, error) {
	config, err := pgx.ParseConfig("sslrootcert=" + caFile) // the rest is in the environment
	if err != nil {
		return nil, err
	}
	config.Password = password
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return client{connection}, nil
}

func (it client) Rows(sql string) ([][]string, error) {
	found, err := it.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var rows [][]string
	for found.Next() {
		values, err := found.Values()
		if err != nil {
			return nil, err
		}
		rows = append(rows, texts(values))
	}
	return rows, found.Err()
}

func texts(values []any) []string {
	row := make([]string, len(values))
	for at, value := range values {
		if number, ok := value.(interface{ MarshalJSON() ([]byte, error) }); ok {
			text, _ := number.MarshalJSON() // a numeric, which has no String
			row[at] = string(text)
		} else {
			row[at] = fmt.Sprint(value)
		}
	}
	return row
}

func (it client) Transaction(block func() error) error {
	return pgx.BeginFunc(ctx, it.Conn, func(pgx.Tx) error { return block() })
}

func (it client) Prepared(offset, number int) (total, pid int, err error) {
	sql := fmt.Sprintf("SELECT $1::int + %d, pg_backend_pid()", offset)
	err = it.QueryRow(ctx, sql, number).Scan(&total, &pid)
	return total, pid, err
}

func (it client) Pipeline() error {
	batch, sum := &pgx.Batch{}, 0
	for number := range 200 {
		batch.Queue("SELECT $1::int", number).QueryRow(func(row pgx.Row) error {
			var value int
			err := row.Scan(&value)
			sum += value
			return err
		})
	}
	if err := it.SendBatch(ctx, batch).Close(); err != nil || sum != 19_900 {
		return fmt.Errorf("a batch of 200: sum %d, %w", sum, err)
	}
	broken := &pgx.Batch{}
	for _, number := range []int{1, 0, 2} {
		broken.Queue("SELECT 1 / $1::int", number)
	}
	if err := it.SendBatch(ctx, broken).Close(); sqlState(err) != "22012" {
		return fmt.Errorf("divided by zero: %w", err)
	}
	return nil
}

func (it client) CopyIn(table string, numbers int) error {
	rows := pgx.CopyFromSlice(numbers, func(at int) ([]any, error) { return []any{at, "a\tb\n"}, nil })
	count, err := it.CopyFrom(ctx, pgx.Identifier{table}, []string{"n", "t"}, rows)
	if err == nil && count != int64(numbers) {
		err = fmt.Errorf("copied %d", count)
	}
	return err
}

func (it client) CopyBadly(table string) error {
	_, err := it.PgConn().CopyFrom(ctx, strings.NewReader("no number\tx\n"),
		fmt.Sprintf("COPY %s FROM STDIN", table))
	return err
}

func (it client) CopyOut(table string) (int, error) {
	var out bytes.Buffer
	_, err := it.PgConn().CopyTo(ctx, io.Writer(&out), fmt.Sprintf("COPY %s TO STDOUT", table))
	return bytes.Count(out.Bytes(), []byte("\n")), err
}

// Cancelled asks the server to, since pgx itself gives a connection up whose context ends.
func (it client) Cancelled() error {
	asked := make(chan error)
	timer := time.AfterFunc(300*time.Millisecond, func() {
		asked <- it.PgConn().CancelRequest(ctx)
	})
	defer timer.Stop()
	_, err := it.Exec(ctx, "SELECT pg_sleep(30)")
	if failed := <-asked; failed != nil {
		return failed
	}
	return err
}

func (it client) Listen(channel string) (func() (string, error), error) {
	_, err := it.Exec(ctx, "LISTEN "+channel)
	return func() (string, error) {
		patience, stop := context.WithTimeout(ctx, 30*time.Second)
		defer stop()
		heard, err := it.WaitForNotification(patience)
		if err != nil {
			return "", err
		}
		return heard.Payload, nil
	}, err
}

func (it client) Close() error { return it.Conn.Close(ctx) }

func sqlState(err error) string {
	var told *pgconn.PgError
	if errors.As(err, &told) {
		return told.Code
	}
	return ""
}

func main() {
	if os.Getenv("PGSSLMODE") != "verify-full" {
		panic("PGSSLMODE is not verify-full")
	}
	columns.Run(columns.Driver{Connect: connect, SQLState: sqlState, SurvivesCancel: true})
}
