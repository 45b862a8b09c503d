<?php
// What PHP's built-in server asks first: a wiki's usual addresses (/wiki/TITLE, /w/api.php), a log, and faults on demand.
//
// WORKDIR/requests.jsonl gets a line a request, when it has been answered: began, ended (seconds), method, uri, params,
// status, error (MediaWiki's own code inside a 200), real (whether MediaWiki gave the answer), agent, encoding (what the client
// accepts).
//
// WORKDIR/faults.json is a list of faults; the first that matches and has times left is used:
//   match        regular expression, sought in the method and the decoded parameters: "GET action=parse page=Some page …"
//   skip, times  how many matching requests pass before (0), and how many are hit (1)
//   sleep        seconds to wait; alone, or with "lag", the real answer follows
//   lag          seconds of replication lag: the real MediaWiki answers `maxlag` to who asked with a smaller one
//   status, body, type, retry_after      the answer instead of the real one
//   retry_after_date                     seconds from now, sent as an HTTP date
//   length       a Content-Length other than the body's: an answer that is cut off
//   close        the connection ends without an answer

function test_fault(): ?array {
	$file = getenv( 'MW_WORK' ) . '/faults.json';
	if ( !is_file( $file ) ) {
		return null;
	}
	$words = [ $_SERVER['REQUEST_METHOD'] ];
	foreach ( $_GET + $_POST as $name => $value ) {
		$words[] = "$name=" . ( is_string( $value ) ? $value : '' );
	}
	$handle = fopen( $file, 'c+' );
	flock( $handle, LOCK_EX );
	$faults = json_decode( stream_get_contents( $handle ), true ) ?: [];
	$hit = null;
	foreach ( $faults as &$fault ) {
		if ( !preg_match( '~' . $fault['match'] . '~', implode( ' ', $words ) ) ) {
			continue;
		}
		if ( ( $fault['skip'] ?? 0 ) > 0 ) {
			$fault['skip']--;
		} elseif ( ( $fault['times'] ?? 1 ) > 0 ) {
			$fault['times'] = ( $fault['times'] ?? 1 ) - 1;
			$hit = $fault;
			break;
		}
	}
	rewind( $handle );
	ftruncate( $handle, 0 );
	fwrite( $handle, json_encode( $faults ) );
	fclose( $handle );
	return $hit;
}

function test_log( float $began ): void {
	$error = null;
	foreach ( headers_list() as $header ) {
		if ( stripos( $header, 'MediaWiki-API-Error:' ) === 0 ) {
			$error = trim( substr( $header, 20 ) );
		}
	}
	$line = [
		'began' => $began, 'ended' => microtime( true ), 'method' => $_SERVER['REQUEST_METHOD'], 'uri' => $_SERVER['REQUEST_URI'],
		'params' => (object)( $_GET + $_POST ), 'status' => http_response_code(), 'error' => $error,
		'real' => $GLOBALS['testReal'],
		'agent' => $_SERVER['HTTP_USER_AGENT'] ?? '', 'encoding' => $_SERVER['HTTP_ACCEPT_ENCODING'] ?? '',
	];
	$flags = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE;
	file_put_contents( getenv( 'MW_WORK' ) . '/requests.jsonl', json_encode( $line, $flags ) . "\n", FILE_APPEND | LOCK_EX );
}

/** End the connection of this request under its client: PHP's server has no call for it, so the socket is sought in /proc. */
function test_close(): void {
	$local = sprintf( ':%04X', (int)$_SERVER['SERVER_PORT'] );
	$remote = sprintf( ':%04X', (int)$_SERVER['REMOTE_PORT'] );
	foreach ( file( '/proc/net/tcp' ) as $line ) {
		$fields = preg_split( '/\s+/', trim( $line ) );
		if ( !str_ends_with( $fields[1], $local ) || !str_ends_with( $fields[2], $remote ) ) {
			continue;
		}
		foreach ( scandir( '/proc/self/fd' ) as $fd ) {
			if ( @readlink( "/proc/self/fd/$fd" ) === "socket:[{$fields[9]}]" ) {
				FFI::cdef( 'int shutdown(int fd, int how);' )->shutdown( (int)$fd, 2 );
			}
		}
	}
}

/** Answer with the fault; tell whether the real answer is still to come. */
function test_answer( array $fault ): bool {
	usleep( (int)( ( $fault['sleep'] ?? 0 ) * 1e6 ) );
	if ( isset( $fault['lag'] ) ) {
		$_SERVER['TEST_LAG'] = $fault['lag'];
	}
	if ( isset( $fault['close'] ) ) {
		test_close();
		return false;
	}
	if ( !isset( $fault['status'] ) && !isset( $fault['body'] ) ) {
		return true;
	}
	ini_set( 'zlib.output_compression', '0' );
	http_response_code( $fault['status'] ?? 200 );
	header( 'Content-Type: ' . ( $fault['type'] ?? 'text/html; charset=utf-8' ) );
	if ( isset( $fault['retry_after'] ) ) {
		header( 'Retry-After: ' . $fault['retry_after'] );
	}
	if ( isset( $fault['retry_after_date'] ) ) {
		header( 'Retry-After: ' . gmdate( 'D, d M Y H:i:s', time() + $fault['retry_after_date'] ) . ' GMT' );
	}
	if ( isset( $fault['length'] ) ) {
		header( 'Content-Length: ' . $fault['length'] );
	}
	echo $fault['body'] ?? '<html><body>a fault, on demand</body></html>';
	return false;
}

$testPath = parse_url( $_SERVER['REQUEST_URI'], PHP_URL_PATH );
$testScript = $testPath === '/w/api.php' ? 'api.php' : ( preg_match( '~^/(wiki(/|$)|w/index\.php|$)~', $testPath ) ? 'index.php' : '' );
if ( $testScript === '' ) {
	return false; // a static file
}
$testFault = test_fault();
$testReal = false;
register_shutdown_function( 'test_log', microtime( true ) );
$testReal = !$testFault || test_answer( $testFault );
if ( !$testReal ) {
	return true;
}
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = "/w/$testScript";
$_SERVER['SCRIPT_FILENAME'] = "{$_SERVER['DOCUMENT_ROOT']}/w/$testScript";
chdir( "{$_SERVER['DOCUMENT_ROOT']}/w" );
require $_SERVER['SCRIPT_FILENAME'];
return true;
