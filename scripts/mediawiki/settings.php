<?php
// Read at the end of the LocalSettings.php that wiki.sh makes. Nothing here reaches any other address.
if ( !defined( 'MEDIAWIKI' ) ) {
	exit;
}
$wgServer = $wgCanonicalServer = 'http://127.0.0.1:' . getenv( 'MW_PORT' );
$wgArticlePath = '/wiki/$1';
$wgJobRunRate = 0; // no job on the side of a request: edits run theirs (wiki.sh maintain … runJobs.php)
$wgEnableEmail = false;
$wgPingback = false;
$wgRightsText = 'Creative Commons Attribution-ShareAlike 4.0';
$wgRightsUrl = 'https://creativecommons.org/licenses/by-sa/4.0/';
$wgCacheDirectory = dirname( $wgSQLiteDataDir ) . '/cache'; // Debian's own is the web server's
$wgMainCacheType = $wgParserCacheType = CACHE_ACCEL; // APCu, shared by the server's workers
if ( PHP_SAPI === 'cli' ) {
	$wgMainCacheType = $wgParserCacheType = CACHE_NONE;
	// an import commits often: without this it waits for the disk each time
	$wgDBservers = [ [ 'type' => 'sqlite', 'host' => '', 'dbname' => $wgDBname, 'user' => '', 'password' => '',
		'dbDirectory' => $wgSQLiteDataDir, 'load' => 1, 'flags' => DBO_DEFAULT, 'variables' => [ 'synchronous' => 'OFF' ] ] ];
}
// What Extension:Disambiguator (not packaged) gives a reader of the API: __DISAMBIG__ sets the page property.
$wgExtensionMessagesFiles['TestWikiMagic'] = __DIR__ . '/disambiguation.i18n.magic.php';
$wgHooks['GetDoubleUnderscoreIDs'][] = static function ( &$ids ) {
	$ids[] = 'disambiguation';
};
// A replication lag for this request (a fault's "lag", see router.php): MediaWiki itself answers `maxlag`.
$wgHooks['ApiMaxLagInfo'][] = static function ( &$info ) {
	if ( isset( $_SERVER['TEST_LAG'] ) ) {
		$info = [ 'host' => 'db1', 'lag' => (float)$_SERVER['TEST_LAG'], 'type' => 'db' ];
	}
};
