import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

/** pgjdbc that prepares by name at once; one JSON line for each column that is asked for. */
public final class Columns {
    private static final int CLIENTS = 8;
    private static final int USES = 50;
    private static final int PATIENCE = 30_000;
    private static final long ME = ProcessHandle.current().pid();

    private interface Column {
        String run() throws Exception;
    }

    private interface Action {
        void run() throws Exception;
    }

    private interface Block {
        void run(Connection connection) throws Exception;
    }

    public static void main(String[] columns) {
        for (String column : columns) {
            System.out.println("{\"column\": " + json(column) + ", " + cell(column) + "}");
        }
        System.exit(0);
    }

    private static String cell(String name) {
        try {
            return "\"result\": \"ok\"" + column(name).run();
        } catch (Throwable error) {
            error.printStackTrace();
            String told = error instanceof SQLException sql ? sql.getSQLState() + " " : "";
            return "\"result\": " + json("FAILED: " + told + error);
        }
    }

    private static Column column(String name) {
        return switch (name) {
            case "connects" -> Columns::connects;
            case "prepares" -> Columns::prepares;
            case "pipelines" -> Columns::pipelines;
            case "copies" -> Columns::copies;
            case "cancels" -> Columns::cancels;
            case "sets" -> Columns::sets;
            case "transactions" -> Columns::transactions;
            case "session" -> Columns::session;
            case "loses" -> Columns::loses;
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static String json(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.substring(0, Math.min(300, text.length())).toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else {
                quoted.append(c < ' ' ? ' ' : c);
            }
        }
        return quoted.append('"').toString();
    }

    private static Connection connect(String password, String ca) throws SQLException {
        Properties settings = new Properties();
        settings.setProperty("user", System.getenv("PGUSER"));
        settings.setProperty("password", password);
        settings.setProperty("sslmode", "verify-full");
        settings.setProperty("sslrootcert", ca);
        settings.setProperty("prepareThreshold", "1");
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT");
        return DriverManager.getConnection(url + "/" + System.getenv("PGDATABASE"), settings);
    }

    private static Connection connect() throws SQLException {
        return connect(System.getenv("PGPASSWORD"), System.getenv("PGSSLROOTCERT"));
    }

    private static void run(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    private static List<List<String>> rows(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet found = statement.executeQuery(sql)) {
            List<List<String>> rows = new ArrayList<>();
            while (found.next()) {
                List<String> row = new ArrayList<>();
                for (int at = 1; at <= found.getMetaData().getColumnCount(); at++) {
                    row.add(found.getString(at));
                }
                rows.add(row);
            }
            return rows;
        }
    }

    private static String value(Connection connection, String sql) throws SQLException {
        return rows(connection, sql).get(0).get(0);
    }

    private static void same(Object got, Object expected) {
        if (!Objects.equals(got, expected)) {
            throw new AssertionError(got + " and not " + expected);
        }
    }

    private static void raises(Set<String> sqlstates, Action action) throws Exception {
        try {
            action.run();
        } catch (SQLException error) {
            if (sqlstates.contains(String.valueOf(error.getSQLState()))) {
                return;
            }
            throw error;
        }
        throw new AssertionError("none of " + sqlstates + " was raised");
    }

    private static void transaction(Connection connection, Block block) throws Exception {
        connection.setAutoCommit(false);
        try {
            block.run(connection);
            connection.commit();
        } catch (Throwable error) {
            if (!connection.isClosed()) {
                connection.rollback();
            }
            throw error;
        } finally {
            if (!connection.isClosed()) {
                connection.setAutoCommit(true);
            }
        }
    }

    private static String connects() throws Exception {
        try (Connection connection = connect()) {
            same(value(connection, "SELECT current_user::text"), System.getenv("PGUSER"));
        }
        raises(Set.of("28P01"), () -> connect("wrong", System.getenv("PGSSLROOTCERT")));
        try {
            connect(System.getenv("PGPASSWORD"), System.getenv("OTHER_CA")).close();
        } catch (SQLException error) {
            if (String.valueOf(error.getCause()).contains("certif")) {
                return "";
            }
            throw error;
        }
        throw new AssertionError("an unknown authority was trusted");
    }

    private static String prepares() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(CLIENTS);
        try {
            List<Callable<Integer>> clients = new ArrayList<>();
            for (int client = 0; client < CLIENTS; client++) {
                int offset = 1000 * client;
                clients.add(() -> preparing(offset));
            }
            int fewest = USES;
            int most = 0;
            for (Future<Integer> servers : threads.invokeAll(clients)) {
                fewest = Math.min(fewest, servers.get());
                most = Math.max(most, servers.get());
            }
            return ", \"fewest_servers\": " + fewest + ", \"most_servers\": " + most;
        } finally {
            threads.shutdown();
        }
    }

    private static int preparing(int offset) throws SQLException {
        String sql = "SELECT ?::int + " + offset + ", pg_backend_pid()";
        Set<Integer> pids = new HashSet<>();
        try (Connection connection = connect();
                PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int number = 0; number < USES; number++) {
                statement.setInt(1, number);
                try (ResultSet found = statement.executeQuery()) {
                    found.next();
                    same(found.getInt(1), number + offset);
                    pids.add(found.getInt(2));
                }
            }
        }
        return pids.size();
    }

    /** Its batches: all statements go out before the first answer is read. */
    private static String pipelines() throws Exception {
        String table = "batched_" + ME;
        try (Connection connection = connect()) {
            run(connection, "CREATE TABLE " + table + " (n int PRIMARY KEY)");
            String insert = "INSERT INTO " + table + " VALUES (?)";
            try (PreparedStatement statement = connection.prepareStatement(insert)) {
                for (int round = 0; round < 3; round++) {
                    for (int number = 0; number < 200; number++) {
                        statement.setInt(1, 1000 * round + number);
                        statement.addBatch();
                    }
                    same(statement.executeBatch().length, 200);
                    raises(Set.of("23505"), () -> collides(statement));
                }
            }
            same(value(connection, "SELECT count(*) FROM " + table), "600");
            run(connection, "DROP TABLE " + table);
        }
        return "";
    }

    private static void collides(PreparedStatement statement) throws SQLException {
        for (int number : new int[] {5000, 1, 5001}) {
            statement.setInt(1, number);
            statement.addBatch();
        }
        statement.executeBatch();
    }

    private static String copies() throws Exception {
        String table = "copied_" + ME;
        try (Connection connection = connect()) {
            run(connection, "CREATE TABLE " + table + " (n int, t text)");
            var copies = connection.unwrap(PGConnection.class).getCopyAPI();
            StringBuilder lines = new StringBuilder();
            for (int number = 0; number < 1000; number++) {
                lines.append(number).append("\ta\\tb\\n\n");
            }
            String in = "COPY " + table + " FROM STDIN";
            same(copies.copyIn(in, new StringReader(lines.toString())), 1000L);
            StringWriter out = new StringWriter();
            same(copies.copyOut("COPY " + table + " TO STDOUT", out), 1000L);
            same(out.toString(), lines.toString());
            raises(Set.of("22P02"), () -> copies.copyIn(in, new StringReader("no number\tx\n")));
            same(value(connection, "SELECT sum(n) FROM " + table), "499500");
            run(connection, "DROP TABLE " + table);
        }
        return "";
    }

    private static String cancels() throws Exception {
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
            for (int round = 0; round < 3; round++) {
                Thread canceller = new Thread(() -> cancelSoon(statement));
                canceller.start();
                raises(Set.of("57014"), () -> statement.executeQuery("SELECT pg_sleep(30)"));
                canceller.join();
                same(value(connection, "SELECT 1"), "1");
            }
            statement.setQueryTimeout(1);
            raises(Set.of("57014"), () -> statement.executeQuery("SELECT pg_sleep(30)"));
            same(value(connection, "SELECT 1"), "1");
        }
        return "";
    }

    private static void cancelSoon(Statement statement) {
        try {
            Thread.sleep(300);
            statement.cancel();
        } catch (SQLException | InterruptedException error) {
            error.printStackTrace();
        }
    }

    private static final List<String> ZONES = List.of("Asia/Tokyo", "America/Lima", "Europe/Oslo");
    private static final String ZONE = "SELECT current_setting('TimeZone')";
    private static final String SHOWN = "SELECT current_setting('TimeZone'), "
        + "current_setting('search_path'), current_setting('statement_timeout'), "
        + "current_setting('drivers.tag'), current_setting('application_name')";

    private static String sets() throws Exception {
        List<Connection> connections = new ArrayList<>();
        List<String> initial = new ArrayList<>();
        try {
            for (int index = 0; index < ZONES.size(); index++) {
                connections.add(connect());
                initial.add(value(connections.get(index), ZONE));
                set(connections.get(index), index);
            }
            for (int number = 0; number < 20; number++) {
                for (int index = 0; index < ZONES.size(); index++) {
                    keeps(connections.get(index), index, number % 2 == 0);
                }
            }
            for (int index = 0; index < ZONES.size(); index++) {
                undoesAndResets(connections.get(index), initial.get(index));
            }
        } finally {
            for (Connection connection : connections) {
                connection.close();
            }
        }
        return "";
    }

    private static void set(Connection connection, int index) throws SQLException {
        run(connection, "SET TimeZone = '" + ZONES.get(index) + "'");
        run(connection, "SET search_path TO \"$user\", \"of " + index + "\", public");
        run(connection, "SET SESSION statement_timeout TO " + (60_001 + index));
        run(connection, "SELECT set_config('drivers.tag', 'it''s " + index + "', false)");
        run(connection, "SET application_name = 'driver " + index + "'");
    }

    private static void keeps(Connection connection, int index, boolean transaction)
            throws Exception {
        List<String> expected = List.of(
            ZONES.get(index), "\"$user\", \"of " + index + "\", public", 60_001 + index + "ms",
            "it's " + index, "driver " + index);
        Block check = it -> same(rows(it, SHOWN), List.of(expected));
        if (transaction) {
            transaction(connection, check);
        } else {
            check.run(connection);
        }
    }

    private static void undoesAndResets(Connection connection, String initial) throws Exception {
        String before = value(connection, ZONE);
        raises(Set.of("22012"), () -> transaction(connection, it -> {
            run(it, "SET TimeZone = 'Africa/Cairo'");
            run(it, "SELECT 1/0");
        }));
        same(value(connection, ZONE), before);
        run(connection, "RESET TimeZone");
        same(value(connection, ZONE), initial);
    }

    private static String transactions() throws Exception {
        String table = "written_" + ME;
        try (Connection connection = connect()) {
            run(connection, "CREATE TABLE " + table + " (n int)");
            for (int round = 0; round < 5; round++) {
                transaction(connection, it -> savepoint(it, table));
                raises(Set.of("25P02"), () -> transaction(connection, it -> {
                    run(it, "INSERT INTO " + table + " VALUES (4)");
                    raises(Set.of("42P01"), () -> run(it, "TABLE no_such_table"));
                    run(it, "SELECT 1");
                }));
            }
            same(rows(connection, "SELECT n, count(*) FROM " + table + " GROUP BY n ORDER BY n"),
                List.of(List.of("1", "5"), List.of("3", "5")));
            run(connection, "DROP TABLE " + table);
        }
        return "";
    }

    private static void savepoint(Connection connection, String table) throws Exception {
        run(connection, "INSERT INTO " + table + " VALUES (1)");
        Savepoint inner = connection.setSavepoint();
        run(connection, "INSERT INTO " + table + " VALUES (2)");
        raises(Set.of("22012"), () -> run(connection, "SELECT 1/0"));
        connection.rollback(inner);
        run(connection, "INSERT INTO " + table + " VALUES (3)");
    }

    private static String session() throws Exception {
        try (Connection connection = connect(); Connection other = connect()) {
            tempTable(connection);
            cursors(connection);
            advisoryLock(connection, other);
            transaction(connection, it -> {
                Set<String> pids = new HashSet<>();
                for (int round = 0; round < 10; round++) {
                    pids.add(value(it, "SELECT pg_backend_pid()"));
                }
                same(pids.size(), 1);
            });
            listens(connection, other);
        }
        return "";
    }

    private static void tempTable(Connection connection) throws SQLException {
        run(connection, "CREATE TEMP TABLE mine (n int)");
        for (int number = 0; number < 5; number++) {
            run(connection, "INSERT INTO mine VALUES (" + number + ")");
        }
        same(value(connection, "SELECT sum(n) FROM mine"), "10");
        run(connection, "DROP TABLE mine");
    }

    /** A holdable one, and the portal that pgjdbc fetches from by pieces. */
    private static void cursors(Connection connection) throws Exception {
        String series = "SELECT generate_series(1, 5)";
        transaction(connection, it -> run(it, "DECLARE held CURSOR WITH HOLD FOR " + series));
        same(rows(connection, "FETCH 2 FROM held"), List.of(List.of("1"), List.of("2")));
        same(rows(connection, "FETCH ALL FROM held").size(), 3);
        run(connection, "CLOSE held");
        transaction(connection, it -> {
            try (Statement statement = it.createStatement()) {
                statement.setFetchSize(7);
                ResultSet found = statement.executeQuery("SELECT generate_series(1, 50)");
                int sum = 0;
                while (found.next()) {
                    sum += found.getInt(1);
                }
                same(sum, 1275);
            }
        });
    }

    private static void advisoryLock(Connection connection, Connection other) throws SQLException {
        String key = "(" + ME + ")";
        value(connection, "SELECT pg_advisory_lock" + key);
        for (int round = 0; round < 5; round++) {
            same(value(other, "SELECT pg_try_advisory_lock" + key), "f");
        }
        same(value(connection, "SELECT pg_advisory_unlock" + key), "t");
        same(value(other, "SELECT pg_try_advisory_lock" + key), "t");
        same(value(other, "SELECT pg_advisory_unlock" + key), "t");
    }

    private static void listens(Connection connection, Connection other) throws SQLException {
        run(connection, "LISTEN news_" + ME);
        run(other, "NOTIFY news_" + ME + ", 'read this'");
        PGNotification[] heard = connection.unwrap(PGConnection.class).getNotifications(PATIENCE);
        same(heard == null ? 0 : heard.length, 1);
        same(heard[0].getParameter(), "read this");
    }

    private static String loses() throws Exception {
        String table = "lost_" + ME;
        try (Connection connection = connect()) {
            run(connection, "CREATE TABLE " + table + " (n int)");
        }
        raises(Set.of("57P01", "08006", "08003"), () -> terminated(table));
        try (Connection connection = connect()) {
            same(value(connection, "SELECT count(*) FROM " + table), "0");
            run(connection, "DROP TABLE " + table);
        }
        return "";
    }

    private static void terminated(String table) throws Exception {
        try (Connection connection = connect()) {
            transaction(connection, it -> {
                run(it, "INSERT INTO " + table + " VALUES (1)");
                String pid = value(it, "SELECT pg_backend_pid()");
                try (Connection other = connect()) {
                    String end = "SELECT pg_terminate_backend(" + pid + ", 10000)";
                    same(value(other, end), "t");
                }
                run(it, "SELECT 1");
            });
        }
    }
}
