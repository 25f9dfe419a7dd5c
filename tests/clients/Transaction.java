import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.util.Properties;
import java.util.UUID;

/** One transaction by pgjdbc; settings come from libpq's environment variables. */
public final class Transaction {
    public static void main(String[] arguments) throws Exception {
        String value = UUID.randomUUID().toString();
        try (Connection connection = DriverManager.getConnection(url(), settings())) {
            connection.setAutoCommit(false);
            insert(connection, value);
            check(connection, value);
            connection.commit();
        }
        System.out.println("ok jdbc " + value);
    }

    private static String url() {
        String port = System.getenv().getOrDefault("PGPORT", "5432");
        return "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + port + "/"
            + System.getenv("PGDATABASE");
    }

    private static Properties settings() {
        Properties settings = new Properties();
        settings.setProperty("user", System.getenv("PGUSER"));
        settings.setProperty("password", System.getenv("PGPASSWORD"));
        settings.setProperty("sslmode", "verify-full");
        settings.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
        return settings;
    }

    private static String table() {
        return '"' + System.getenv("TABLE").replace("\"", "\"\"") + '"';
    }

    private static void insert(Connection connection, String value) throws Exception {
        String text = "INSERT INTO " + table() + " (tag, value) VALUES ('jdbc', ?)";
        try (PreparedStatement statement = connection.prepareStatement(text)) {
            statement.setString(1, value);
            statement.executeUpdate();
        }
    }

    private static void check(Connection connection, String value) throws Exception {
        String text = "SELECT value FROM " + table() + " WHERE tag = 'jdbc' AND value = ?";
        try (PreparedStatement statement = connection.prepareStatement(text)) {
            statement.setString(1, value);
            try (ResultSet rows = statement.executeQuery()) {
                if (!rows.next() || !rows.getString(1).equals(value) || rows.next()) {
                    throw new IllegalStateException("did not read what was written: " + value);
                }
            }
        }
    }
}
