<?php
/**
 * Sessions from PHP, without an extension. See README.md in this folder.
 *
 *   export API_KEY=...                             the key that server.js was started with
 *   export SESSION=$(php client.php login alice)
 *   php client.php show
 *   php client.php set theme=dark visits=3 coupon=null
 *   php client.php logout
 *
 * SESSION is a token, or a session's ref. API_URL defaults to http://localhost:3000/sessions.
 */
declare(strict_types=1);

const APP = 'demo-shop';

/** Asks the REST interface. Sends the token in a header, so that no access log contains it. */
function call(string $method, string $path, ?array $body = null): array
{
    $url = getenv('API_URL') ?: 'http://localhost:3000/sessions';
    $headers = ['Authorization: Bearer ' . getenv('API_KEY'), 'X-Session-Token: ' . getenv('SESSION')];
    if ($body !== null) {
        $headers[] = 'Content-Type: application/json';
    }
    $http = [
        'method' => $method,
        'header' => $headers,
        'content' => $body === null ? '' : json_encode((object) $body, JSON_THROW_ON_ERROR),
        'timeout' => 5,
        'ignore_errors' => true, // returns the body of an error response too
    ];
    $answer = @file_get_contents($url . '/' . APP . $path, false, stream_context_create(['http' => $http]));
    if ($answer === false) {
        fail("Nobody answers at $url");
    }
    $answer = json_decode($answer, true, 512, JSON_THROW_ON_ERROR);
    // application/problem+json: `code` is stable, `detail` is for people.
    if (isset($answer['status'], $answer['code'])) {
        fail("{$answer['status']} {$answer['code']}: {$answer['detail']}");
    }
    return $answer;
}

function login(string $user): string
{
    // A real login checks a password first. It passes $_SERVER['REMOTE_ADDR'] as ip.
    return call('PUT', '/create/' . rawurlencode($user) . '?ip=127.0.0.1&device=PHP', ['theme' => 'light'])['token'];
}

/** Parses numbers, true, false and null; other values are strings. null removes a key. */
function value_of(string $text): mixed
{
    $value = json_decode($text, true);
    return $value === null && $text !== 'null' ? $text : $value;
}

function change(array $pairs): array
{
    $d = [];
    foreach ($pairs as $pair) {
        [$name, $text] = explode('=', $pair, 2) + [1 => ''];
        $d[$name] = value_of($text);
    }
    return call('POST', '/set/-', $d);
}

function fail(string $message): never
{
    fwrite(STDERR, "$message\n");
    exit(1);
}

[$command, $arguments] = [$argv[1] ?? '', array_slice($argv, 2)];
if ($command === 'login' && count($arguments) === 1) {
    echo login($arguments[0]), "\n";
    exit;
}
$answer = match ($command) {
    'show' => call('GET', '/get/-'),
    'set' => change($arguments),
    'logout' => call('DELETE', '/kill/-'),
    default => fail('php client.php login <user> | show | set <name>=<value> … | logout'),
};
echo json_encode((object) $answer, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
if ($answer === []) {
    fail('The session does not exist or has ended');
}
